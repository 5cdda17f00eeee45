"""Requests of the Responses API, read: what the model is shown, and what is refused by which name."""

from typing import Any

import pytest

from mcp_local_llm.values.chat import Message, ToolCall
from mcp_local_llm.wire.openai.errors import ParameterError
from mcp_local_llm.wire.responses.read_request import IncomingResponse, incoming_response
from mcp_local_llm.wire.responses.tool_names import ToolName
from tests.doors.http.door import Json
from tests.doors.http.responses.recorded import REQUESTS

CALL = {"type": "function_call", "call_id": "c1", "name": "read", "arguments": '{"path": "a"}'}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "Buy milk."}
READ_CALL = ToolCall(name="read", arguments={"path": "a"}, id="c1")
USER = {"role": "user", "content": "Hi"}
THOUGHT: Json = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [],
    "content": [{"type": "reasoning_text", "text": "Hm."}],
    "encrypted_content": None,
}
WAIT: Json = {"type": "function", "name": "wait", "parameters": {"type": "object"}}
AGENTS: Json = {"type": "namespace", "name": "agents", "description": "Of agents.", "tools": [WAIT]}
PATCH: Json = {"type": "custom", "name": "patch", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}}


def read(input: object = "Hi", **fields: Any) -> IncomingResponse:
    return incoming_response({"model": "m", "input": input, **fields})


def user(text: str) -> Message:
    return Message(role="user", content=text)


def assistant(text: str = "", *calls: ToolCall, thought: str = "") -> Message:
    return Message(role="assistant", content=text, tool_calls=list(calls), reasoning=thought)


def result(text: str, id: str = "c1") -> Message:
    return Message(role="tool", content=text, tool_call_id=id)


LEFT_OUT = "[image left out: this model reads text only]"
PNG = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
INPUTS: dict[str, tuple[object, list[Message]]] = {
    "a text": ("Hi", [user("Hi")]),
    "a message without a type": ([USER], [user("Hi")]),
    "developer and system": (
        [{"role": "developer", "content": "Be brief."}, {"role": "system", "content": "Be kind."}, USER],
        [Message(role="system", content="Be brief."), Message(role="system", content="Be kind."), user("Hi")],
    ),
    "parts": (
        [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}, PNG]}],
        [user("a" + LEFT_OUT)],
    ),
    "an answer of ours": (
        [
            USER,
            THOUGHT,
            {
                "type": "message",
                "id": "msg_1",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "I read it.", "annotations": [], "logprobs": []}],
            },
            CALL,
            {**CALL, "call_id": "c2"},
            OUTPUT,
            {**OUTPUT, "call_id": "c2"},
        ],
        [
            user("Hi"),
            assistant("I read it.", READ_CALL, READ_CALL.model_copy(update={"id": "c2"}), thought="Hm."),
            result("Buy milk."),
            result("Buy milk.", "c2"),
        ],
    ),
    "a refusal": (
        [USER, {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, USER],
        [user("Hi"), assistant("No."), user("Hi")],
    ),
    "a thought before a call, and one that nothing follows": (
        [USER, THOUGHT, CALL, OUTPUT, THOUGHT],
        [user("Hi"), assistant("", READ_CALL, thought="Hm."), result("Buy milk.")],
    ),
    "calls one after the other": (
        [USER, CALL, OUTPUT, CALL, OUTPUT],
        [user("Hi"), assistant("", READ_CALL), result("Buy milk."), assistant("", READ_CALL), result("Buy milk.")],
    ),
    "an output of parts": (
        [USER, CALL, {**OUTPUT, "output": [{"type": "input_text", "text": "a"}, PNG]}],
        [user("Hi"), assistant("", READ_CALL), result("a" + LEFT_OUT)],
    ),
    "an empty output": ([USER, CALL, {**OUTPUT, "output": ""}], [user("Hi"), assistant("", READ_CALL), result("")]),
    "arguments that are an object": (
        [USER, {**CALL, "arguments": {"path": "a"}}, OUTPUT],
        [user("Hi"), assistant("", READ_CALL), result("Buy milk.")],
    ),
    "a call without an id": (
        [
            USER,
            {key: value for key, value in CALL.items() if key != "call_id"},
            {"type": "function_call_output", "output": "x"},
        ],
        [user("Hi"), assistant("", READ_CALL.model_copy(update={"id": None})), Message(role="tool", content="x")],
    ),
    "a custom tool": (
        [
            USER,
            {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": "*** Begin"},
            {"type": "custom_tool_call_output", "call_id": "c1", "output": "Done."},
        ],
        [
            user("Hi"),
            assistant("", ToolCall(name="patch", arguments={"input": "*** Begin"}, id="c1")),
            result("Done."),
        ],
    ),
    "a shell of OpenAI's": (
        [
            USER,
            {"type": "local_shell_call", "call_id": "c1", "status": "completed", "action": {"command": ["ls"]}},
            {"type": "local_shell_call_output", "call_id": "c1", "output": "a.txt"},
        ],
        [
            user("Hi"),
            assistant("", ToolCall(name="local_shell", arguments={"action": {"command": ["ls"]}}, id="c1")),
            result("a.txt"),
        ],
    ),
    "a search of OpenAI's": ([{"type": "web_search_call", "id": "ws_1", "status": "completed"}, USER], [user("Hi")]),
}


@pytest.mark.parametrize("name", INPUTS)
def test_items_become_the_turns_that_the_model_is_shown(name: str) -> None:
    given, turns = INPUTS[name]
    assert list(read(given).request.messages) == turns


def test_instructions_stand_before_the_conversation() -> None:
    assert read(instructions="Be brief.").request.messages == (
        Message(role="system", content="Be brief."),
        user("Hi"),
    )


def test_broken_arguments_of_an_earlier_call_are_kept_as_text_and_that_is_told() -> None:
    incoming = read([USER, {**CALL, "arguments": '{"path": "'}, OUTPUT])
    assert '{\\"path\\": \\"' in incoming.request.messages[1].content
    assert "a tool call in input[1]" in incoming.warnings[0]


WARNINGS: dict[str, tuple[Json, str]] = {
    "an image": ({"input": [{"role": "user", "content": [PNG]}]}, "Images are left out"),
    "a hosted call": ({"input": [{"type": "web_search_call", "id": "ws_1"}, USER]}, "'web_search_call' in input[0]"),
    "an unknown tool": ({"tools": [{"type": "telepathy"}]}, "'telepathy' in tools[0]"),
    "an unknown field": ({"frobnicate": 1}, "frobnicate"),
    "too many tokens": ({"max_output_tokens": 10**6}, "max_output_tokens was lowered"),
    "a file of an earlier turn": (
        {"input": [{"role": "user", "content": [{"type": "input_file", "filename": "a.pdf"}]}, USER]},
        "a part of type 'input_file' in input[0]",
    ),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_what_is_left_out_is_told(name: str) -> None:
    fields, words = WARNINGS[name]
    (warning,) = incoming_response({"input": "Hi", **fields}).warnings
    assert words in warning


SILENT: list[Json] = [
    {"tools": [{"type": "web_search", "external_web_access": False}, {"type": "web_search_preview_2025_03_11"}]},
    {"store": True},
    {
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "k",
        "client_metadata": {"a": "b"},
    },
    {"metadata": {"a": "b"}, "user": "u", "service_tier": "auto", "truncation": "disabled", "safety_identifier": "s"},
    {"previous_response_id": None, "conversation": None, "background": False, "prompt": None},
    {"reasoning": {"effort": None, "summary": "auto"}, "text": {"verbosity": "low"}, "stream_options": {}},
    {"max_output_tokens": None, "temperature": None, "top_p": None, "top_logprobs": 0, "max_tool_calls": 3},
]


@pytest.mark.parametrize("fields", SILENT)
def test_what_cannot_change_the_answer_is_passed_over(fields: Json) -> None:
    assert read(**fields).warnings == ()


REFUSED: dict[str, tuple[Json, str]] = {
    "no input": ({"input": None}, "input"),
    "an empty input": ({"input": []}, "input"),
    "input of a wrong type": ({"input": 3}, "input"),
    "reasoning alone": ({"input": [{"type": "reasoning", "summary": []}]}, "input"),
    "an item that is none": ({"input": ["Hi"]}, "input[0]"),
    "a reference": ({"input": [USER, {"type": "item_reference", "id": "msg_1"}]}, "input[1]"),
    "a reference without a type": ({"input": [USER, {"id": "msg_1"}]}, "input[1]"),
    "an unknown item at the end": ({"input": [USER, {"type": "telepathy"}]}, "input[1].type"),
    "an unknown role": ({"input": [{"role": "judge", "content": "Hi"}]}, "input[0].role"),
    "a file": ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0].type"),
    "a file from a tool": (
        {"input": [USER, CALL, {**OUTPUT, "output": [{"type": "input_file"}]}]},
        "input[2].output[0].type",
    ),
    "broken arguments at the end": ({"input": [USER, {**CALL, "arguments": "{"}]}, "input[1].arguments"),
    "instructions of a wrong type": ({"instructions": 3}, "instructions"),
    "an earlier response": ({"previous_response_id": "resp_1"}, "previous_response_id"),
    "a conversation": ({"conversation": "conv_1"}, "conversation"),
    "a stored prompt": ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    "the background": ({"background": True}, "background"),
    "messages": ({"messages": [USER]}, "messages"),
    "a response format": ({"response_format": {"type": "json_object"}}, "response_format"),
    "logprobs": ({"top_logprobs": 3}, "top_logprobs"),
    "tools of a wrong type": ({"tools": "all"}, "tools"),
    "a tool without a name": ({"tools": [WAIT, {"type": "function"}]}, "tools[1].name"),
    "a tool without a name in a namespace": ({"tools": [{**AGENTS, "tools": [{}]}]}, "tools[0].tools[0].name"),
    "a choice that is not offered": ({"tool_choice": {"type": "function", "name": "x"}}, "tool_choice"),
    "a hosted choice": ({"tools": [WAIT], "tool_choice": {"type": "file_search"}}, "tool_choice"),
    "a required call without tools": ({"tools": [{"type": "web_search"}], "tool_choice": "required"}, "tool_choice"),
    "tokens out of range": ({"max_output_tokens": -5}, "max_output_tokens"),
    "temperature out of range": ({"temperature": 3}, "temperature"),
    "an unknown form": ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
    "a form without a schema": ({"text": {"format": {"type": "json_schema", "name": "a"}}}, "text.format.schema"),
    "an unknown effort": ({"reasoning": {"effort": "heroic"}}, "reasoning.effort"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_field_is_refused_by_the_name_that_the_client_knows(name: str) -> None:
    fields, param = REFUSED[name]
    with pytest.raises(ParameterError) as error:
        incoming_response({"input": "Hi", **fields})
    assert error.value.param == param
    assert "messages[" not in str(error.value)


def test_tools_of_namespaces_and_custom_tools_are_functions_whose_calls_find_back() -> None:
    incoming = read(tools=[{"type": "function", "name": "read"}, AGENTS, PATCH, {"type": "web_search"}])
    tools = {tool.name: tool for tool in incoming.request.tools}
    assert list(tools) == ["read", "wait", "patch"]
    assert tools["wait"].description == "Of agents."
    assert list(tools["patch"].parameters["properties"]) == ["input"]
    assert "lark" in tools["patch"].description
    wait = ToolName("wait", "agents")
    assert [incoming.names.of_call(name) for name in ("wait", "agents__wait", "agents.wait")] == [wait] * 3
    assert incoming.names.of_call("patch") == ToolName("patch", kind="custom")
    assert incoming.names.of_call("unknown") == ToolName("unknown")


def test_a_name_that_stands_twice_is_told_apart_by_its_namespace() -> None:
    incoming = read([USER, {**CALL, "name": "wait", "namespace": "agents"}, OUTPUT], tools=[WAIT, AGENTS])
    assert [tool.name for tool in incoming.request.tools] == ["wait", "agents__wait"]
    assert incoming.request.messages[1].tool_calls[0].name == "agents__wait"
    assert incoming.names.of_call("wait") == ToolName("wait")


CHOICES: dict[str, tuple[object, list[str], tuple[str, ...]]] = {
    "auto": ("auto", ["read", "wait", "patch"], ()),
    "none": ("none", [], ()),
    "required": ("required", ["read", "wait", "patch"], ("read", "wait", "patch")),
    "a function": ({"type": "function", "name": "read"}, ["read", "wait", "patch"], ("read",)),
    "one of a namespace": (
        {"type": "function", "name": "wait", "namespace": "agents"},
        ["read", "wait", "patch"],
        ("wait",),
    ),
    "a custom tool": ({"type": "custom", "name": "patch"}, ["read", "wait", "patch"], ("patch",)),
    "allowed": (
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "read"}, {"type": "mcp"}]},
        ["read"],
        (),
    ),
    "allowed and required": (
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "namespace", "name": "agents"}]},
        ["wait"],
        ("wait",),
    ),
}


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_of_tools_is_honoured(name: str) -> None:
    choice, offered, must_call = CHOICES[name]
    request = read(tools=[{"type": "function", "name": "read"}, AGENTS, PATCH], tool_choice=choice).request
    assert [tool.name for tool in request.tools] == offered
    assert request.must_call == must_call


FORM = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


def test_the_other_fields_steer_the_answer() -> None:
    request = read(
        max_output_tokens=7,
        temperature=0,
        top_p=0.5,
        seed=3,
        parallel_tool_calls=False,
        reasoning={"effort": "none"},
        text={"format": {"type": "json_schema", "name": "form", "strict": True, "schema": FORM}},
        stream=True,
    ).request
    sampling = request.sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p, sampling.seed) == (7, 0, 0.5, 3)
    assert request.parallel_tool_calls is False
    assert request.thinking is False
    assert request.response_schema == FORM
    assert request.stream
    assert read(reasoning={"effort": "high"}).request.thinking is True
    assert read(text={"format": {"type": "json_object"}}).request.response_schema == {"type": "object"}
    assert read(text={"format": {"type": "text"}}).request.response_schema is None


@pytest.mark.parametrize("name", REQUESTS)
def test_every_recorded_request_is_read(name: str) -> None:
    incoming = incoming_response(REQUESTS[name])
    messages = incoming.request.messages
    assert messages[0].role == "system"
    assert messages[-1].role in ("user", "tool")
    told = {"codex_image": 1, "codex_bad_arguments_replay": 1}
    assert len(incoming.warnings) == told.get(name, 0), incoming.warnings
    functions = [tool for tool in REQUESTS[name]["tools"] if tool["type"] == "function"]
    inner = [tool for entry in REQUESTS[name]["tools"] for tool in entry.get("tools", ())]
    assert len(incoming.request.tools) == len(functions) + len(inner)
