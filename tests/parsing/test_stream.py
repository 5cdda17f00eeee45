"""A stream's result is the whole text's, and nothing that it showed is taken back."""

from typing import Any

import pytest

from mcp_local_llm.parsing import OutputStream, StreamEvent, parse
from tests.parsing.corpus import RAW, Case, chunkings
from tests.sweep import sampled


def streamed(
    chunks: list[str], *, prefilled: bool = False, tools: Any = None
) -> tuple[OutputStream, list[StreamEvent]]:
    stream = OutputStream(think_prefilled=prefilled, tools=tools)
    return stream, [event for chunk in chunks for event in stream.feed(chunk)]


def shown(events: list[StreamEvent], channel: str) -> str:
    return "".join(str(event[1]) for event in events if event[0] == channel)


@pytest.mark.parametrize("case", sampled(RAW), ids=lambda case: case["id"])
def test_any_chunking_gives_the_result_of_the_whole_text_and_takes_nothing_back(case: Case) -> None:
    whole = parse(case["raw"], think_prefilled=case["think_prefilled"], tools=case["tools"])
    for chunks in chunkings(case):
        stream, events = streamed(chunks, prefilled=case["think_prefilled"], tools=case["tools"])
        assert stream.finish() == whole
        assert whole.reasoning.startswith(shown(events, "reasoning"))
        assert whole.text.startswith(shown(events, "text"))


def test_reasoning_is_shown_while_its_block_is_open() -> None:
    stream, events = streamed(["Let me ", "see.", " Then"], prefilled=True)
    assert shown(events, "reasoning") == "Let me see. Then"
    assert stream.channel == "reasoning"


def test_a_possible_beginning_of_a_marker_is_held_back() -> None:
    _, events = streamed(["Less <", "/thi"], prefilled=True)
    assert shown(events, "reasoning") == "Less"
    _, events = streamed(["Less <", "/thi", "s> more"], prefilled=True)
    assert shown(events, "reasoning") == "Less </this> more"


def test_an_answer_is_shown_once_no_stray_closer_can_turn_it_into_reasoning() -> None:
    answer = "word " * 200
    stream, events = streamed(list(f"<think>{'plan ' * 20}</think>\n\n{answer}"))
    assert stream.channel == "text"
    assert len(shown(events, "text")) > len(answer) - 50
    assert stream.finish().text == answer.strip()


def test_a_late_stray_closer_does_not_take_back_a_long_answer() -> None:
    answer = "word " * 200
    result = parse(f"<think>plan</think>{answer}</think>More.", think_prefilled=False, tools=None)
    assert result.text.startswith("word word")
    assert result.reasoning == "plan"


def test_plain_text_waits_because_a_closer_without_an_opener_may_follow() -> None:
    stream, events = streamed(["It is 4."])
    assert events == []
    assert stream.finish().text == "It is 4."


def test_harmony_messages_are_shown_as_they_arrive() -> None:
    head = "<|channel|>analysis<|message|>Think it over, and over."
    stream, events = streamed(
        [*head, " ", "Again.", "<|end|>", "<|start|>assistant<|channel|>final<|message|>", "It is 4"]
    )
    assert shown(events, "reasoning") == "Think it over, and over. Again."
    assert shown(events, "text") == "It is 4"
    assert stream.channel == "text"


def test_an_answer_that_may_be_an_implicit_call_waits() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    call = '{"name": "f", "arguments": {"a": "' + "x" * 900 + '"}}'
    stream, events = streamed([*f"<think>{'plan ' * 20}</think>", *call], tools=tools)
    assert shown(events, "text") == ""
    assert [made.name for made in stream.finish().tool_calls] == ["f"]


def test_the_channel_is_told_while_too_little_has_arrived_to_be_certain() -> None:
    stream = OutputStream(think_prefilled=False, tools=None)
    told: list[str] = []
    for chunk in ("<thi", "nk>", "Hm.", "</think>", "10"):
        stream.feed(chunk)
        told.append(stream.channel)
    assert told == ["text", "reasoning", "reasoning", "text", "text"]
