"""The server's half of the wire: requests in, answers and errors out."""

from typing import Any

import pytest

from mcp_local_llm.values import errors
from mcp_local_llm.values.chat import (
    ChatChunk,
    ChatRequest,
    ChatResult,
    Message,
    SamplingParams,
    Timings,
    ToolCall,
    ToolSpec,
    Usage,
)
from mcp_local_llm.values.errors import InvalidRequestError
from mcp_local_llm.wire.flavors import FLAVORS
from mcp_local_llm.wire.openai.completions import incoming_completion
from mcp_local_llm.wire.openai.errors import CODES, ParameterError, error_body, error_type, read_error
from mcp_local_llm.wire.openai.read_request import incoming_request
from mcp_local_llm.wire.openai.read_response import AnswerMessage, ServedModel, read_answer, read_models
from mcp_local_llm.wire.openai.write_request import outgoing_request
from mcp_local_llm.wire.openai.write_response import CompletionIdentity, CompletionStream, completion, model_list

HI = (Message(role="user", content="Hi"),)
USER: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
TOOLS: list[dict[str, Any]] = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
F, G = ToolSpec(name="f"), ToolSpec(name="g")
IDENTITY = CompletionIdentity("chatcmpl-1", 1_700_000_000, "tiny")
RESULT = ChatResult(
    text="Hello there",
    reasoning="Greet.",
    tool_calls=(ToolCall(name="f", arguments={"a": 1}),),
    finish_reason="tool_calls",
    model="tiny",
    usage=Usage(10, 4, 6, 2),
    timings=Timings(prefill_s=0.5, decode_s=0.25),
    warnings=("w",),
)


def test_a_request_survives_the_way_to_our_own_server() -> None:
    request = ChatRequest(
        messages=(
            Message(role="system", content="Be brief."),
            Message(role="user", content="Weather?"),
            Message(role="assistant", tool_calls=[ToolCall(name="f", arguments={"a": [1, "ä"]}, id="c1")]),
            Message(role="tool", content="sunny", tool_call_id="c1"),
        ),
        tools=(ToolSpec(name="f", description="d"),),
        sampling=SamplingParams(9, 0.5, 0.9, 3, ("x",), 5, 0.1, 1.1, 0.2, -0.2, 64),
        thinking=False,
        max_thinking_tokens=5,
        response_schema={"type": "object"},
        stream=True,
        must_call=("f",),
        parallel_tool_calls=False,
    )
    incoming = incoming_request(outgoing_request(request, "tiny", FLAVORS["mcp-local-llm"]).body)
    assert incoming.request == request
    assert (incoming.model, incoming.stream, incoming.include_usage) == ("tiny", True, True)


ACCEPTED: dict[str, tuple[dict[str, Any], ChatRequest]] = {
    "developer is system": (
        {"messages": [{"role": "developer", "content": "x"}]}, ChatRequest((Message(role="system", content="x"),))
    ),
    "parts of text": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]},
        ChatRequest((Message(role="user", content="ab"),)),
    ),
    "one stop string": ({"stop": "x"}, ChatRequest(HI, sampling=SamplingParams(stop=("x",)))),
    "max_completion_tokens": (
        {"max_completion_tokens": 5}, ChatRequest(HI, sampling=SamplingParams(max_tokens=5))
    ),
    "effort": ({"reasoning_effort": "low"}, ChatRequest(HI, thinking=True)),
    "no effort": ({"reasoning_effort": "none"}, ChatRequest(HI, thinking=False)),
    "tools that must not be called": (
        {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "none"},
        ChatRequest(HI),
    ),
    "any JSON": (
        {"response_format": {"type": "json_object"}},
        ChatRequest(HI, response_schema={"type": "object"}),
    ),
    "what changes nothing": (
        {"user": "u", "metadata": {"a": "b"}, "store": False, "n": 1, "logprobs": False, "parallel_tool_calls": True,
         "tool_choice": None,
         "temperature": None, "logit_bias": {}, "response_format": {"type": "text"}},
        ChatRequest(HI),
    ),
    "what turns nothing on": (
        {"typical_p": 1, "xtc_probability": 0.0, "dry_multiplier": 0, "mirostat": 0, "top_logprobs": 0, "n": 0,
         "functions": [], "function_call": "auto", "prediction": {"type": "content", "content": "x"}, "format": "",
         "cache_prompt": True, "modalities": ["text"], "echo": False, "suffix": "", "stop_token_ids": []},
        ChatRequest(HI),
    ),
    "numbers that mean none": (
        {"max_tokens": -1, "top_k": -1, "seed": -1, "top_p": 0, "max_thinking_tokens": -1, "min_p": -1,
         "repetition_penalty": 0.0, "temperature": -1},
        ChatRequest(HI),
    ),
    "numbers that mean none as texts": (
        {"max_tokens": "0", "max_completion_tokens": "-1", "top_p": "0.0", "seed": " ", "temperature": ""},
        ChatRequest(HI),
    ),
    "empty values": (
        {"stop": "", "tools": "", "tool_choice": None, "response_format": {}, "stream_options": {}, "model": "",
         "temperature": [], "top_k": {}, "chat_template_kwargs": {}, "reasoning": {}, "think": ""},
        ChatRequest(HI),
    ),
    "empty items": (
        {"stop": ["", None, "x"], "tools": [{}, None], "messages": [{}, *USER]},
        ChatRequest(HI, sampling=SamplingParams(stop=("x",))),
    ),
    "what 0 means": (
        {"temperature": 0, "seed": 0, "max_thinking_tokens": 0, "top_k": 0, "min_p": 0, "frequency_penalty": -1,
         "presence_penalty": 0, "repetition_limit": 0, "enable_thinking": False},
        ChatRequest(
            HI,
            sampling=SamplingParams(
                temperature=0, seed=0, top_k=0, min_p=0, frequency_penalty=-1, presence_penalty=0, repetition_limit=0
            ),
            thinking=False,
            max_thinking_tokens=0,
        ),
    ),
    "empty parts of a tool": (
        {"tools": [{"type": "function", "function": {"name": "f", "description": None, "parameters": None}},
                   {"function": {"name": "g", "description": "", "parameters": {}}}]},
        ChatRequest(HI, tools=(ToolSpec(name="f"), ToolSpec(name="g"))),
    ),
    "empty parts of a turn": (
        {"messages": [*USER, {"role": "assistant", "content": None, "name": "", "tool_calls": [], "tool_call_id": ""},
                      {"role": "user", "content": "Hi", "tool_calls": None}]},
        ChatRequest((*HI, Message(role="assistant"), *HI)),
    ),
    "a schema beside the type": (
        {"response_format": {"type": "json_object", "schema": {"type": "object", "required": ["a"]}}},
        ChatRequest(HI, response_schema={"type": "object", "required": ["a"]}),
    ),
    "a schema beside the other type": (
        {"response_format": {"type": "json_schema", "schema": {"enum": [1]}}},
        ChatRequest(HI, response_schema={"enum": [1]}),
    ),
    "a schema that says nothing": (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}},
        ChatRequest(HI, response_schema={"type": "object"}),
    ),
    "other names of our fields": (
        {"n_predict": 7, "repeat_penalty": 1.2},
        ChatRequest(HI, sampling=SamplingParams(max_tokens=7, repetition_penalty=1.2)),
    ),
    "other names that mean none": ({"n_predict": -1, "repeat_penalty": 0}, ChatRequest(HI)),
    "a budget in another server's words": (
        {"thinking": {"type": "enabled", "budget_tokens": 64}},
        ChatRequest(HI, thinking=True, max_thinking_tokens=64),
    ),
    "our budget before another's": (
        {"reasoning": {"max_tokens": 64}, "max_thinking_tokens": 8}, ChatRequest(HI, max_thinking_tokens=8)
    ),
    "an endless budget": ({"reasoning_budget": -1}, ChatRequest(HI)),
    "no budget": ({"thinking_budget": 0}, ChatRequest(HI, max_thinking_tokens=0)),
}  # fmt: skip


NAMED = {"type": "function", "function": {"name": "g"}}
CHOICES: list[tuple[Any, tuple[ToolSpec, ...], tuple[str, ...]]] = [
    ("auto", (F, G), ()),
    ("", (F, G), ()),
    ({}, (F, G), ()),
    ({"type": "auto"}, (F, G), ()),
    ("none", (), ()),
    ("required", (F, G), ("f", "g")),
    ("any", (F, G), ("f", "g")),
    (NAMED, (F, G), ("g",)),
    ({"type": "function", "name": "g"}, (F, G), ("g",)),
    ({"type": "tool", "name": "g"}, (F, G), ("g",)),
    ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [NAMED]}}, (G,), ()),
    ({"type": "allowed_tools", "mode": "required", "tools": [NAMED]}, (G,), ("g",)),
]


@pytest.mark.parametrize(("choice", "offered", "must_call"), CHOICES)
def test_a_choice_says_what_is_offered_and_what_must_be_called(
    choice: Any, offered: tuple[ToolSpec, ...], must_call: tuple[str, ...]
) -> None:
    request = incoming_request({"messages": USER, "tools": TOOLS, "tool_choice": choice}).request
    assert (request.tools, request.must_call) == (offered, must_call)
    named = must_call == ("g",) and offered == (F, G)
    assert request.parallel_tool_calls is not named
    body = outgoing_request(request, "m", FLAVORS["mcp-local-llm"]).body
    assert incoming_request(body).request.must_call == must_call


def test_a_forced_call_is_sent_as_the_server_understands_it_or_refused_by_name() -> None:
    named, either = (ChatRequest(HI, tools=(F, G), must_call=names) for names in (("g",), ("f", "g")))
    for flavor in FLAVORS.values():
        if not flavor.forced_calls:
            for request in (named, either):
                with pytest.raises(InvalidRequestError, match=f"tool_choice is not supported by {flavor.title}"):
                    outgoing_request(request, "m", flavor)
            continue
        body = outgoing_request(either, "m", flavor).body
        assert (body["tool_choice"], len(body["tools"])) == ("required", 2)
        body = outgoing_request(named, "m", flavor).body
        known = flavor.forced_calls == "named"
        assert body["tool_choice"] == (NAMED if known else "required")
        assert [tool["function"]["name"] for tool in body["tools"]] == (["f", "g"] if known else ["g"])
    assert not FLAVORS["ollama"].forced_calls
    assert "tool_choice" not in outgoing_request(ChatRequest(HI, tools=(F,)), "m", FLAVORS["openai"]).body


@pytest.mark.parametrize(("body", "expected"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_body_means_a_request(body: dict[str, Any], expected: ChatRequest) -> None:
    assert incoming_request({"messages": USER, **body}).request == expected


SWITCHES: list[tuple[dict[str, Any], bool | None]] = [
    ({"enable_thinking": False}, False),
    ({"enable_thinking": True}, True),
    ({"enable_thinking": "false"}, False),
    ({"enable_thinking": 0}, False),
    ({"think": False}, False),
    ({"think": "high"}, True),
    ({"thinking": {"type": "disabled"}}, False),
    ({"thinking": {"type": "adaptive", "display": "omitted"}}, None),
    ({"thinking": True}, True),
    ({"reasoning": {"effort": "none", "summary": "auto"}}, False),
    ({"reasoning": {"enabled": False}}, False),
    ({"reasoning": {"exclude": True}}, None),
    ({"reasoning": "off"}, False),
    ({"reasoning": {"effort": "xhigh"}}, True),
    ({"chat_template_kwargs": {"enable_thinking": False}}, False),
    ({"chat_template_kwargs": {"thinking": True, "preserve_thinking": True}}, True),
    ({"chat_template_kwargs": {"reasoning_effort": "none", "add_generation_prompt": True}}, False),
    ({"chat_template_kwargs": {"enable_thinking": None}, "reasoning_effort": "low"}, True),
    ({"chat_template_kwargs": {"enable_thinking": False}, "reasoning_effort": "low"}, False),
    ({"reasoning_effort": "NONE"}, False),
    ({"reasoning_effort": "auto"}, None),
]


@pytest.mark.parametrize(("body", "on"), SWITCHES)
def test_the_switches_of_other_servers_are_understood_without_a_warning(body: dict[str, Any], on: bool | None) -> None:
    incoming = incoming_request({"messages": USER, **body})
    assert incoming.request == ChatRequest(HI, thinking=on)
    assert incoming.warnings == ()


def test_unknown_fields_are_ignored_with_one_warning_that_names_them() -> None:
    incoming = incoming_request(
        {"messages": USER, "flux": 1, "temprature": 0.5, "user": "u", "cache_salt": "", "x": None}
    )
    assert incoming.request == ChatRequest(HI)
    assert incoming.warnings == ("Fields that are unknown here were ignored: flux, temprature.",)
    many = {f"{number}{'x' * 10_000}": 1 for number in range(100)}
    (warning,) = incoming_request({"messages": USER, **many}).warnings
    assert "and 90 more" in warning
    assert len(warning) < 600


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "max_thinking_tokens"])
def test_a_limit_above_the_largest_is_lowered_with_a_warning(name: str) -> None:
    incoming = incoming_request({"messages": USER, name: 10_000_000})
    assert 131_072 in (incoming.request.sampling.max_tokens, incoming.request.max_thinking_tokens)
    assert incoming.warnings == (f"{name} was lowered to 131,072, the largest value.",)


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({}, 16),
        ({"repeat_penalty": 1.1}, 16),
        ({"n_predict": -1}, 16),
        ({"n_predict": 40}, 40),
        ({"max_tokens": 0}, 16),
        ({"max_completion_tokens": 40}, 40),
    ],
)
def test_a_raw_prompt_without_a_limit_has_that_of_openai(fields: dict[str, Any], limit: int) -> None:
    assert incoming_completion({"prompt": "Once", **fields}).request.sampling.max_tokens == limit


REFUSED: dict[str, tuple[Any, str, str]] = {
    "no object": ([], "body", "JSON object"),
    "no messages": ({"messages": None}, "messages", "Missing required parameter: 'messages'"),
    "empty messages": ({"messages": []}, "messages", "at least 1"),
    "unknown template variable": (
        {"chat_template_kwargs": {"x": 1}}, "chat_template_kwargs.x", "is not supported by this server"
    ),
    "several answers": ({"n": 2}, "n", "n is not supported"),
    "logprobs": ({"logprobs": True}, "logprobs", "logprobs is not supported"),
    "a grammar": ({"grammar": "root ::= x"}, "grammar", "not supported"),
    "vLLM's schema": ({"guided_json": {"type": "object"}}, "guided_json", "not supported"),
    "Ollama's form": ({"format": "json"}, "format", "not supported"),
    "another template": ({"chat_template": "{{x}}"}, "chat_template", "not supported"),
    "least tokens": ({"min_tokens": 5}, "min_tokens", "not supported"),
    "biased logits": ({"logit_bias": {"5": 1}}, "logit_bias", "not supported"),
    "an unknown switch": ({"think": "perhaps"}, "think", "one of"),
    "an unknown effort": ({"reasoning": {"effort": "huge"}}, "reasoning.effort", "one of"),
    "a number as a switch": ({"enable_thinking": 7}, "enable_thinking", "one of"),
    "functions": ({"functions": [{"name": "f"}]}, "functions", "not supported"),
    "a call without tools": ({"tool_choice": "required"}, "tool_choice", "no tools"),
    "a named call without tools": (
        {"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice", "names 'f'"
    ),
    "a call of a tool that is not offered": (
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "h"}}}, "tool_choice", "(f, g)"
    ),
    "an odd choice": ({"tools": TOOLS, "tool_choice": "always"}, "tool_choice", "'required'"),
    "a choice without a name": ({"tools": TOOLS, "tool_choice": {"type": "function"}}, "tool_choice", "names ''"),
    "a choice of another kind": ({"tools": TOOLS, "tool_choice": {"type": "custom"}}, "tool_choice", "'required'"),
    "a number for a choice": ({"tools": TOOLS, "tool_choice": 1}, "tool_choice", "'required'"),
    "out of range": ({"temperature": 2.5}, "temperature", "less than or equal to 2"),
    "wrong type": ({"max_tokens": "many"}, "max_tokens", "valid integer"),
    "an image": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        "messages[0].content[0].type",
        "'image_url' are not supported",
    ),
    "an odd role": ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role", "Input should be"),
    "arguments that are no JSON": (
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}]},
        "messages[0].tool_calls[0].function.arguments",
        "JSON object",
    ),
    "a tool without a name": ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name", "required"),
    "a format without its schema": (
        {"response_format": {"type": "json_schema"}}, "response_format.json_schema", "Missing required parameter"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "param", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_wrong_body_is_refused_by_the_name_of_the_field(body: Any, param: str, words: str) -> None:
    with pytest.raises(ParameterError) as caught:
        incoming_request(body if body == [] else {"messages": USER, **body})
    assert caught.value.param == param
    assert words in str(caught.value)
    assert error_body(caught.value)["error"]["type"] == "invalid_request_error"


def test_an_answer_survives_the_way_from_our_own_server() -> None:
    piece = read_answer(completion(RESULT, IDENTITY))
    assert (piece.content, piece.reasoning, piece.finish_reason) == ("Hello there", "Greet.", "tool_calls")
    assert piece.usage == RESULT.usage
    assert piece.extension is not None
    assert (piece.extension.timings, piece.extension.warnings) == (RESULT.timings, ("w",))


@pytest.mark.parametrize("usage", [True, False])
def test_a_stream_sends_everything_once(*, usage: bool) -> None:
    stream = CompletionStream(IDENTITY, include_usage=usage)
    chunks = [ChatChunk(reasoning="Gre"), ChatChunk(text="Hello"), ChatChunk(), ChatChunk(result=RESULT)]
    events = [event for chunk in chunks for event in stream.events(chunk)]
    message = AnswerMessage()
    for event in events:
        message.add(read_answer(event))
    written = message.message()
    assert (written["content"], written["reasoning_content"]) == ("Hello there", "Greet.")
    assert written["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a": 1}'}
    reasons = [choice["finish_reason"] for event in events for choice in event["choices"]]
    assert reasons == [*[None] * (len(reasons) - 1), "tool_calls"]
    assert (events[-1].get("usage") is not None) is usage
    assert all(event["object"] == "chat.completion.chunk" and event["id"] == "chatcmpl-1" for event in events)


def test_every_error_has_a_code_that_leads_back_to_it() -> None:
    kinds = [errors.LocalLLMError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    leaves = [kind for kind in kinds if not kind.__subclasses__() and kind.__module__ == errors.__name__]
    # Raised between sessions alone: over HTTP it is an error of its parent.
    leaves.remove(errors.HolderGoneError)
    for kind in [*leaves, errors.InvalidRequestError, errors.BackendUnavailableError]:
        body = error_body(kind("It broke."))
        told = read_error(body)
        assert told is not None
        assert told.message == "It broke."
        assert error_type(told.code) is kind, kind
    assert len(set(CODES.values())) == len(CODES)


def test_a_list_of_models_is_read_as_it_was_written() -> None:
    assert read_models(model_list(["b", "a", "b"])) == (ServedModel("b"), ServedModel("a"))


def test_models_that_do_not_chat_are_left_out_and_windows_are_read() -> None:
    entries = [
        {"id": "q", "max_model_len": 8192},
        {"id": "g", "meta": {"n_ctx_train": 4096}},
        {"id": "n", "meta": {"n_ctx_train": 4096, "n_ctx": 1024}},
        {"id": "text-embedding-3"},
        {"id": ""},
        "x",
    ]
    assert read_models({"data": entries}) == (ServedModel("q", 8192), ServedModel("g", 4096), ServedModel("n", 1024))
