"""What a body of the Messages API becomes: the conversation, the tools, and the sampling."""

import json
from typing import Any

import pytest

from mcp_local_llm.values.chat import LONGEST_ANSWER, ChatRequest, Message, ToolCall
from mcp_local_llm.wire.anthropic.read_request import read_messages_request
from mcp_local_llm.wire.anthropic.write_response import NO_TEXT
from mcp_local_llm.wire.openai.errors import ParameterError
from tests.doors.http.messages.recorded import Json, names, recorded

BILLING = "x-anthropic-billing-header: cc_version=2.1.329.edc; cc_entrypoint=cli;"
READ: Json = {"name": "Read", "description": "Reads a file.", "input_schema": {"type": "object", "properties": {}}}
FETCH: Json = {**READ, "name": "WebFetch", "defer_loading": True}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
USER, ASSISTANT, SYSTEM = "user", "assistant", "system"


def read(*messages: Json, **fields: Any) -> ChatRequest:
    return read_messages_request({"messages": list(messages) or [turn(USER, "Hi")], **fields}).request


def turn(role: str, content: object) -> Json:
    return {"role": role, "content": content}


def text(words: str, **fields: Any) -> Json:
    return {"type": "text", "text": words, **fields}


def result(content: object, **fields: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": "toolu_1", "content": content, **fields}


def use(name: str, arguments: object, ident: str = "toolu_1") -> Json:
    return {"type": "tool_use", "id": ident, "name": name, "input": arguments}


def said(*turns: tuple[str, str]) -> list[tuple[str, str]]:
    return list(turns)


@pytest.mark.parametrize(
    ("fields", "messages", "expected"),
    [
        ({"system": "Be brief."}, [turn(USER, "Hi")], said((SYSTEM, "Be brief."), (USER, "Hi"))),
        ({"system": [text("One."), text("Two.")]}, [turn(USER, "Hi")], said((SYSTEM, "One.\n\nTwo."), (USER, "Hi"))),
        ({"system": [text(BILLING), text("One.")]}, [turn(USER, "Hi")], said((SYSTEM, "One."), (USER, "Hi"))),
        ({"system": f"{BILLING}\nOne."}, [turn(USER, "Hi")], said((SYSTEM, "One."), (USER, "Hi"))),
        ({"system": [text(BILLING)]}, [turn(USER, "Hi")], said((USER, "Hi"))),
        ({"system": []}, [turn(USER, "Hi")], said((USER, "Hi"))),
        ({}, [turn(USER, [text("Hi", cache_control={"type": "ephemeral"})])], said((USER, "Hi"))),
        ({}, [turn(USER, "Hi"), turn(SYSTEM, "Now.")], said((USER, "Hi"), (SYSTEM, "Now."))),
        ({}, [turn(USER, "Hi"), turn(SYSTEM, [text("Now.")])], said((USER, "Hi"), (SYSTEM, "Now."))),
        ({}, [turn(USER, "One"), turn(USER, "Two")], said((USER, "One"), (USER, "Two"))),
        ({}, [turn(USER, [result("5")])], said(("tool", "5"))),
        ({}, [turn(USER, [result([text("5"), text("6")])])], said(("tool", "5\n\n6"))),
        ({}, [turn(USER, [result("no such file", is_error=True)])], said(("tool", "Error: no such file"))),
        ({}, [turn(USER, [result(None)])], said(("tool", ""))),
        (
            {},
            [turn(USER, [text("Go on."), result("5"), result("6")])],
            said(("tool", "5"), ("tool", "6"), (USER, "Go on.")),
        ),
        ({}, [turn(USER, [result([IMAGE])])], said(("tool", "[image left out: this model reads text only]"))),
        ({}, [turn(USER, [text("See"), IMAGE])], said((USER, "See\n\n[image left out: this model reads text only]"))),
        ({}, [turn(USER, [{"type": "new_kind"}])], said((USER, "[new_kind left out: this model reads text only]"))),
        (
            {},
            [turn(USER, [{"type": "document", "title": "a.txt", "source": {"type": "text", "data": "words"}}])],
            said((USER, "a.txt\nwords")),
        ),
        (
            {},
            [turn(USER, "Hi"), turn(ASSISTANT, [{"type": "thinking", "thinking": "So", "signature": ""}, text("Yes")])],
            said((USER, "Hi"), (ASSISTANT, "Yes")),
        ),
        ({}, [turn(ASSISTANT, [{"type": "redacted_thinking", "data": "x"}, text("Yes")])], said((ASSISTANT, "Yes"))),
        ({}, [turn(ASSISTANT, [text(NO_TEXT)])], said((ASSISTANT, ""))),
        ({}, [turn(USER, "")], said((USER, ""))),
    ],
)
def test_a_conversation_is_read_in_place(fields: Json, messages: list[Json], expected: list[tuple[str, str]]) -> None:
    assert [(message.role, message.content) for message in read(*messages, **fields).messages] == expected


def test_calls_of_one_turn_keep_their_order_and_their_ids() -> None:
    blocks = [text("Both."), use("Read", {"b": 1, "a": 2}, "toolu_1"), use("Grep", {}, "toolu_2")]
    (message,) = read(turn(ASSISTANT, blocks)).messages
    assert message.content == "Both."
    assert message.tool_calls == [
        ToolCall(name="Read", arguments={"b": 1, "a": 2}, id="toolu_1"),
        ToolCall(name="Grep", arguments={}, id="toolu_2"),
    ]
    assert list(message.tool_calls[0].arguments) == ["b", "a"]


def test_a_call_that_the_client_could_not_read_is_shown_as_it_was_written() -> None:
    raw = '{"file_path": "/tm'
    broken = use("Read", {"__unparsedToolInput": {"raw": raw, "len": len(raw)}})
    (message,) = read(turn(ASSISTANT, [text("I read."), broken])).messages
    assert message == Message(role="assistant", content=f"I read.\n\nRead {raw}")


def test_a_deferred_tool_is_described_where_a_search_found_it_and_nowhere_else() -> None:
    found = turn(USER, [result([{"type": "tool_reference", "tool_name": "WebFetch"}])])
    placeholder: Json = {**FETCH, "name": "DeferredToolPlaceholder"}
    request = read(turn(USER, "Hi"), found, tools=[READ, FETCH, placeholder])
    assert [tool.name for tool in request.tools] == ["Read"]
    assert [tool.name for tool in request.callable_tools] == ["Read", "WebFetch"]
    assert '"name": "WebFetch"' in request.messages[-1].content
    assert "Reads a file." in request.messages[-1].content
    assert read(turn(USER, "Hi"), tools=[READ, FETCH, placeholder]).tools == read(turn(USER, "Hi"), tools=[READ]).tools


@pytest.mark.parametrize(
    ("choice", "must_call", "parallel", "offered"),
    [
        ({"type": "auto"}, (), True, 2),
        ({"type": "auto", "disable_parallel_tool_use": True}, (), False, 2),
        ({"type": "any"}, ("Read", "Grep"), True, 2),
        ({"type": "any", "disable_parallel_tool_use": True}, ("Read", "Grep"), False, 2),
        ({"type": "tool", "name": "Grep"}, ("Grep",), False, 2),
        ({"type": "none"}, (), True, 0),
    ],
)
def test_a_choice_of_tools_is_read(choice: Json, must_call: tuple[str, ...], parallel: bool, offered: int) -> None:
    request = read(tools=[READ, {**READ, "name": "Grep"}], tool_choice=choice)
    assert (request.must_call, request.parallel_tool_calls, len(request.tools)) == (must_call, parallel, offered)


@pytest.mark.parametrize(
    ("fields", "thinking", "budget"),
    [
        ({}, False, None),
        ({"thinking": {"type": "adaptive", "display": "updates"}}, None, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 31999}}, True, 31999),
        ({"thinking": {"type": "enabled", "budget_tokens": -1}}, True, None),
        ({"thinking": {"type": "disabled"}}, False, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 10**6}}, True, LONGEST_ANSWER),
    ],
)
def test_thinking_is_read(fields: Json, thinking: bool | None, budget: int | None) -> None:
    request = read(**fields)
    assert (request.thinking, request.max_thinking_tokens) == (thinking, budget)


def test_sampling_and_the_form_of_the_answer_are_read() -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}}
    form = {"type": "json_schema", "schema": schema}
    fields: Json = {"max_tokens": 200_000, "temperature": 0, "top_p": 0.9, "top_k": 40, "stop_sequences": ["\n\n"]}
    request = read(**fields, output_config={"effort": "high", "format": form})
    assert request.response_schema == schema == read(output_format=form).response_schema
    sampling = request.sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p, sampling.top_k, sampling.stop) == (
        LONGEST_ANSWER,
        0,
        0.9,
        40,
        ("\n\n",),
    )


def test_what_is_left_out_is_told_in_a_warning() -> None:
    body = {"messages": [turn(USER, [IMAGE, IMAGE])], "tools": [{"type": "web_search_20250305", "name": "web_search"}]}
    first, second = read_messages_request(body).warnings
    assert "2 x image" in first
    assert "web_search" in second


@pytest.mark.parametrize(
    ("fields", "warnings"),
    [
        ({"max_tokens": 10**6}, ["max_tokens was lowered to 131,072, the largest value."]),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 200_000}},
            ["thinking.budget_tokens was lowered to 131,072, the largest value."],
        ),
        ({"seed": 7, "min_p": 0.1}, ["Fields that are unknown here were ignored: seed, min_p."]),
        ({"max_tokens": 131_072, "seed": None, "metadata": {"user_id": "u"}, "service_tier": "auto"}, []),
    ],
)
def test_what_is_lowered_or_not_read_is_told_in_a_warning(fields: Json, warnings: list[str]) -> None:
    assert list(read_messages_request({"messages": [turn(USER, "Hi")], **fields}).warnings) == warnings


@pytest.mark.parametrize("name", names())
def test_no_recorded_request_has_a_field_that_is_unknown(name: str) -> None:
    assert "unknown" not in " ".join(read_messages_request(recorded(name)["body"]).warnings)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": [turn("tool", "5")]}, "messages.0.role"),
        ({"messages": [{"content": "Hi"}]}, "messages.0.role"),
        ({"messages": [turn(USER, None)]}, "messages.0.content"),
        ({"messages": [turn(USER, 5)]}, "messages.0.content"),
        ({"messages": [turn(USER, ["Hi"])]}, "messages.0.content"),
        ({"messages": [turn(USER, [{"type": "text"}])]}, "messages.0.content.text"),
        ({"max_tokens": -5}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"thinking": {"type": "sometimes"}}, "thinking.type"),
        ({"tools": [{"description": "?"}]}, "tools.0.name"),
        ({"tools": [READ], "tool_choice": {"type": "maybe"}}, "tool_choice.type"),
        (
            {"tools": [READ], "tool_choice": {"type": "tool", "name": "X"}},
            "tool_choice",
        ),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        (
            {"output_config": {"format": {"type": "json_schema"}}},
            "output_config.format.schema",
        ),
    ],
)
def test_a_wrong_field_is_refused_by_name(fields: Json, param: str) -> None:
    with pytest.raises(ParameterError) as caught:
        read_messages_request({"messages": [turn(USER, "Hi")], **fields})
    assert caught.value.param == param
    assert param.rpartition(".")[2] in str(caught.value)


@pytest.mark.parametrize("name", names())
def test_no_recorded_request_brings_what_differs_between_sessions_into_the_prompt(name: str) -> None:
    request = read_messages_request(recorded(name)["body"]).request
    prompt = json.dumps([message.model_dump() for message in request.messages])
    assert request.messages
    for word in ("x-anthropic-billing-header", "cache_control", "DeferredToolPlaceholder", "__unparsedToolInput"):
        assert word not in prompt
    assert "DeferredToolPlaceholder" not in [tool.name for tool in request.callable_tools]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("cc_first_turn", "cc_tool_turn"),
        ("cc_subagent_first", "cc_subagent_tool_turn"),
        ("cc_launch_small_first", "cc_launch_small_tool_turn"),
        ("opencode_anthropic_first", "opencode_anthropic_tool_turn"),
    ],
)
def test_a_later_turn_of_a_session_only_adds_to_the_earlier_one(earlier: str, later: str) -> None:
    first, second = (read_messages_request(recorded(name)["body"]).request for name in (earlier, later))
    assert second.messages[: len(first.messages)] == first.messages
    assert second.tools == first.tools
