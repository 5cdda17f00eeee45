"""What cannot be read in an earlier turn is kept as text; only the newest turn is read strictly."""

import json
from typing import Any

import pytest

from mcp_local_llm.values.chat import Message, ToolCall
from mcp_local_llm.wire.openai.errors import ParameterError
from mcp_local_llm.wire.openai.read_request import incoming_request

Json = dict[str, Any]
USER = {"role": "user", "content": "Go on."}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def call(name: Any = "f", arguments: Any = "{}", **more: Any) -> Json:
    return {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def assistant(*calls: Any, content: Any = None, **more: Any) -> Json:
    return {"role": "assistant", "content": content, "tool_calls": list(calls), **more}


# An earlier turn → texts that its content holds, the calls that stay calls, and what the warning names.
EARLIER: dict[str, tuple[Json, list[str], list[Json], str]] = {
    "arguments cut off": (assistant(call(arguments='{"cmd": "ls')), ['"f"', "cmd"], [], "a tool call"),
    "arguments that are no JSON": (assistant(call(arguments="ls -l")), ["ls -l"], [], "a tool call"),
    "arguments that are a list": (assistant(call(arguments="[1, 2]")), ["[1, 2]"], [], "a tool call"),
    "arguments that are a text": (assistant(call(arguments='"x"')), ["x"], [], "a tool call"),
    "deep arguments": (assistant(call(arguments="[" * 100_000)), ["[function]"], [], "a tool call"),
    "null as text": (assistant(call(arguments="null")), [], [{}], ""),
    "null": (assistant(call(arguments=None)), [], [{}], ""),
    "no arguments": (assistant(call(arguments="")), [], [{}], ""),
    "arguments that are an object": (assistant(call(arguments={"a": 1})), [], [{"a": 1}], ""),
    "an empty name": (assistant(call(name="", arguments='{"a": 1}')), ["a"], [], "a tool call"),
    "no name": (assistant(call(name=None)), ["function"], [], "a tool call"),
    "no function": (assistant({"id": "1", "type": "function"}), ["function"], [], "a tool call"),
    "a call of another type": (assistant({"type": "custom", "custom": {"input": "abc"}}), ["abc"], [], "a tool call"),
    "a call that is a text": (assistant("f()"), ["f()"], [], "a tool call"),
    "a sound call beside a broken one": (
        assistant(call("good", '{"a": 1}'), call("bad", "{"), content="I try."), ["I try.", "bad"], [{"a": 1}], "a tool"
    ),
    "a refusal": ({"role": "assistant", "content": None, "refusal": "I will not."}, ["I will not."], [], ""),
    "a part with a refusal": (
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, ["No."], [], "'refusal'"
    ),
    "a thinking part": (
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Yes."}]},
        ["Hm.\nYes."], [], "'thinking'",
    ),
    "an image": (
        {"role": "user", "content": [{"type": "text", "text": "See"}, IMAGE]}, ["See\n[image_url]"], [], "'image_url'"
    ),
    "an image elsewhere": (
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.b/c.png"}}]},
        ["https://a.b/c.png"], [], "'image_url'",
    ),
    "audio": (
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "A" * 5000}}]},
        ["[input_audio]"], [], "'input_audio'",
    ),
    "an image as the result of a tool": (
        {"role": "tool", "tool_call_id": "1", "content": [IMAGE]}, ["[image_url]"], [], "'image_url'"
    ),
    "a part without a type": ({"role": "user", "content": ["plain", {"text": "typed"}]}, ["plain", "typed"], [], ""),
    "a text that is null": ({"role": "user", "content": [{"type": "text", "text": None}]}, [], [], "'text'"),
    "content that is an object": ({"role": "user", "content": {"type": "text", "text": "one"}}, ["one"], [], ""),
    "content that is a number": ({"role": "tool", "tool_call_id": 7, "content": 42}, ["42"], [], "'text'"),
    "texts in parts": (
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, ["ab"], [], ""
    ),
}  # fmt: skip


@pytest.mark.parametrize(("turn", "texts", "calls", "told"), EARLIER.values(), ids=EARLIER)
def test_an_earlier_turn_ends_no_session(turn: Json, texts: list[str], calls: list[Json], told: str) -> None:
    incoming = incoming_request({"messages": [USER, turn, USER]})
    read = incoming.request.messages[1]
    assert read.role == turn["role"]
    assert all(text in read.content for text in texts)
    assert [one.arguments for one in read.tool_calls] == calls
    assert len(incoming.warnings) == bool(told)
    assert all("kept as text" in warning and told in warning for warning in incoming.warnings)


STRICT = (
    *("an image", "an image as the result of a tool", "audio", "a thinking part"),
    *("arguments cut off", "an empty name"),
)


@pytest.mark.parametrize("name", STRICT)
def test_the_newest_turn_is_read_strictly(name: str) -> None:
    with pytest.raises(ParameterError):
        incoming_request({"messages": [USER, EARLIER[name][0]]})


def test_the_results_of_tools_at_the_end_are_the_newest_turn_and_their_calls_an_earlier_one() -> None:
    results = [{"role": "tool", "tool_call_id": str(id), "content": "bad arguments"} for id in (1, 2)]
    read = incoming_request({"messages": [USER, assistant(call(arguments="{")), *results]}).request.messages
    assert [message.role for message in read] == ["user", "assistant", "tool", "tool"]
    image = {**results[0], "content": [IMAGE]}
    with pytest.raises(ParameterError, match=r"messages\[2\]"):
        incoming_request({"messages": [USER, assistant(call()), image, results[1]]})


def test_sound_turns_are_read_as_ever() -> None:
    turns = [{"role": "system", "content": "S"}, USER, assistant(call("f", '{"a": [1, "ä"]}'), content="c"), USER]
    incoming = incoming_request({"messages": turns})
    assert incoming.warnings == ()
    assert incoming.request.messages[2] == Message(
        role="assistant", content="c", tool_calls=[ToolCall(name="f", arguments={"a": [1, "ä"]}, id="1")]
    )


def test_a_long_history_of_broken_calls_has_a_short_warning() -> None:
    turns = [assistant(call("x" * 5000, "{" * 5000)) for _ in range(100)]
    (warning,) = incoming_request({"messages": [*turns, USER]}).warnings
    assert "and 95 more" in warning
    assert len(warning) < 400
    json.dumps(warning)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ({"reasoning_content": "a thought"}, "a thought"),
        ({"reasoning": "a thought"}, "a thought"),
        ({"thinking": [{"type": "text", "text": "a thought"}]}, "a thought"),
        ({"reasoning": {"effort": "high"}}, ""),
        ({"reasoning_content": None}, ""),
        ({}, ""),
    ],
)
def test_the_thought_of_an_earlier_answer_is_read_under_each_of_its_names(sent: Json, read: str) -> None:
    turns = [USER, {"role": "assistant", "content": "Yes.", **sent}, {**USER, **sent}]
    request = incoming_request({"model": "m", "messages": turns}).request
    assert [message.reasoning for message in request.messages] == ["", read, ""]
