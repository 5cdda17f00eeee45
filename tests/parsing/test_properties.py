"""What holds for every text: no exception, one result for every chunking, nothing taken back."""

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mcp_local_llm.parsing import OutputStream, Parsed, parse, parse_message
from tests.parsing.corpus import RAW
from tests.sweep import examples

TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {"type": "integer"}}}}},
    {"type": "function", "function": {"name": "get_weather"}},
]
PIECES = [
    "<think>", "</think>", "<thinking>", "</thinking>", "[THINK]", "[/THINK]", "<|channel>thought\n", "<channel|>",
    "<tool_call>", "</tool_call>", "<tools>", "</tools>", '{"name": "f", "arguments": {"a": 1}}', '{"name": "f"', "{",
    "}", '"', "'", "[", "]", "<function=f>", "</function>", "<parameter=a>", "</parameter>",
    "f\n<arg_key>a</arg_key>", "<arg_value>1</arg_value>", "[TOOL_CALLS]", "f[ARGS]",
    "<|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>", "<|python_tag|>", "<|tool_call_start|>",
    '[f(a="x")]', "<|tool_call>", 'call:f{a:<|"|>x<|"|>}', "<tool_call|>", "<|channel|>analysis<|message|>",
    "<|channel|>final<|message|>", "<|channel|>commentary to=functions.f<|message|>", "<|start|>assistant", "<|end|>",
    "<|return|>", "<|call|>", "<|im_end|>", "<|im_start|>assistant\n", "</s>", "```\n", "```", "`", "~~~\n", "\n",
    "\n\n", " ", "word", "\r\n", "\r", "\\", "/*", "//", "◁think▷", "\ufeff", "\ud800", "<tool_response>",
    "Thinking Process:\n\n1. x\n\n", "Answer:", "word " * 100,
]  # fmt: skip
BOUNDED = examples(400)


def check(raw: str, *, prefilled: bool, tools: list[dict[str, Any]] | None, seed: int) -> None:
    whole = parse(raw, think_prefilled=prefilled, tools=tools)
    source = random.Random(seed)
    stream = OutputStream(think_prefilled=prefilled, tools=tools)
    early = {"reasoning": "", "text": ""}
    position = 0
    while position < len(raw):
        step = source.randint(0, 12)
        for event in stream.feed(raw[position : position + step]):
            early[event[0]] += str(event[1])
        position += step
    assert stream.finish() == whole
    assert whole.reasoning.startswith(early["reasoning"])
    assert whole.text.startswith(early["text"])
    if not tools:
        assert whole.tool_calls == ()


@given(st.lists(st.sampled_from(PIECES), max_size=24), st.booleans(), st.booleans(), st.integers(0, 1000))
@examples(1500)
def test_any_mix_of_markup_gives_one_result(pieces: list[str], prefilled: bool, offered: bool, seed: int) -> None:
    check("".join(pieces), prefilled=prefilled, tools=TOOLS if offered else None, seed=seed)


@given(st.text(max_size=200), st.booleans(), st.integers(0, 1000))
@BOUNDED
def test_any_text_gives_one_result(raw: str, prefilled: bool, seed: int) -> None:
    check(raw, prefilled=prefilled, tools=TOOLS, seed=seed)


@given(st.sampled_from(RAW), st.data())
@BOUNDED
def test_a_damaged_answer_gives_one_result(case: dict[str, Any], data: st.DataObject) -> None:
    raw: str = case["raw"][:1500]
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, min(len(raw), start + 40)))
    damaged = raw[:start] + data.draw(st.sampled_from(["", *PIECES])) + raw[end:]
    check(damaged, prefilled=case["think_prefilled"], tools=case["tools"], seed=start)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["function", "name"])
FIELDS = st.sampled_from(["content", "reasoning_content", "reasoning", "thinking", "tool_calls", "function_call"])


@given(
    st.dictionaries(FIELDS, JSON), st.lists(st.dictionaries(st.sampled_from(["function", "name"]), JSON), max_size=2)
)
@BOUNDED
def test_any_message_and_any_tool_list_is_read(message: dict[str, Any], tools: list[dict[str, Any]]) -> None:
    assert isinstance(parse_message(message, think_prefilled=False, tools=tools), Parsed)


def test_an_empty_answer_is_empty() -> None:
    assert parse("", think_prefilled=False, tools=None) == Parsed()
    assert OutputStream(think_prefilled=False, tools=TOOLS).finish() == Parsed()
