"""What is sent to each kind of server."""

import dataclasses
from typing import Any, get_args

import pytest

from mcp_local_llm.values.chat import ChatRequest, Message, SamplingParams, ToolCall
from mcp_local_llm.values.endpoint import FlavorName
from mcp_local_llm.values.errors import InvalidRequestError
from mcp_local_llm.wire.flavors import FLAVORS
from mcp_local_llm.wire.openai.write_request import outgoing_request

HELLO = (Message(role="user", content="Hello"),)
NAMES: tuple[FlavorName, ...] = get_args(FlavorName)

TEMPLATE = {"chat_template_kwargs": {"enable_thinking": False}}
FIELD = {"enable_thinking": False}
EFFORT = {"reasoning_effort": "none"}
NOT_THINKING: dict[FlavorName, dict[str, Any]] = {
    "auto": {},
    "openai": {},
    "mlx_lm.server": TEMPLATE,
    "vllm-mlx": FIELD,
    "vllm": TEMPLATE,
    "llama-server": TEMPLATE,
    "llama-swap": TEMPLATE,
    "ollama": EFFORT,
    "lm-studio": EFFORT,
    "omlx": TEMPLATE,
    "litellm": EFFORT,
    "mcp-local-llm": TEMPLATE,
}


def test_every_flavor_has_its_row() -> None:
    assert set(FLAVORS) == set(NAMES) == set(NOT_THINKING)


def test_every_row_speaks_of_sampling_fields_that_there_are() -> None:
    known = {field.name for field in dataclasses.fields(SamplingParams)}
    assert all(set(flavor.sampling) <= known for flavor in FLAVORS.values())
    basic = {"max_tokens", "temperature", "top_p", "stop"}
    assert all(set(flavor.sampling) >= basic for flavor in FLAVORS.values())


@pytest.mark.parametrize("name", NAMES)
def test_thinking_is_switched_as_the_flavor_does_it(name: FlavorName) -> None:
    outgoing = outgoing_request(ChatRequest(HELLO, thinking=False), "m", FLAVORS[name])
    switches = {key: value for key, value in outgoing.body.items() if key in (*TEMPLATE, *FIELD, *EFFORT)}
    assert switches == NOT_THINKING[name]
    assert bool(outgoing.warnings) == (not switches)


@pytest.mark.parametrize("name", NAMES)
def test_a_request_that_asks_for_nothing_special_works_everywhere(name: FlavorName) -> None:
    outgoing = outgoing_request(ChatRequest(HELLO), "m", FLAVORS[name])
    assert outgoing.body["model"] == "m"
    assert outgoing.body["messages"] == [{"role": "user", "content": "Hello"}]
    assert outgoing.body["stream"] is True
    assert not outgoing.warnings


def test_sampling_fields_have_the_server_s_names() -> None:
    sampling = SamplingParams(max_tokens=9, temperature=0.0, stop=("x",), repetition_penalty=1.1)
    body = outgoing_request(ChatRequest(HELLO, sampling=sampling), "m", FLAVORS["llama-server"]).body
    chosen = {key: body[key] for key in ("max_tokens", "temperature", "stop", "repeat_penalty")}
    assert chosen == {"max_tokens": 9, "temperature": 0.0, "stop": ["x"], "repeat_penalty": 1.1}
    assert "repetition_penalty" not in body


REFUSED: dict[str, tuple[FlavorName, ChatRequest]] = {
    "seed": ("vllm-mlx", ChatRequest(HELLO, sampling=SamplingParams(seed=4))),
    "top_k": ("openai", ChatRequest(HELLO, sampling=SamplingParams(top_k=4))),
    "min_p": ("lm-studio", ChatRequest(HELLO, sampling=SamplingParams(min_p=0.1))),
    "repetition_penalty": ("ollama", ChatRequest(HELLO, sampling=SamplingParams(repetition_penalty=1.2))),
    "repetition_limit": ("vllm", ChatRequest(HELLO, sampling=SamplingParams(repetition_limit=64))),
    "max_thinking_tokens": ("mlx_lm.server", ChatRequest(HELLO, max_thinking_tokens=100)),
    "response_schema": ("mlx_lm.server", ChatRequest(HELLO, response_schema={"type": "object"})),
}


@pytest.mark.parametrize("field", REFUSED)
def test_a_field_that_would_be_ignored_is_refused_by_name(field: str) -> None:
    flavor, request = REFUSED[field]
    with pytest.raises(InvalidRequestError, match=f"^{field} is not supported by {FLAVORS[flavor].title}"):
        outgoing_request(request, "m", FLAVORS[flavor])


def test_a_schema_is_sent_as_a_response_format() -> None:
    schema = {"type": "object"}
    body = outgoing_request(ChatRequest(HELLO, response_schema=schema), "m", FLAVORS["vllm"]).body
    assert body["response_format"]["json_schema"]["schema"] == schema


def test_calls_and_results_are_paired_by_ids_even_where_the_caller_gave_none() -> None:
    first, second = ToolCall(name="f", arguments={"ä": 1}), ToolCall(name="g")
    messages = (
        Message(role="assistant", tool_calls=[first, second]),
        Message(role="tool", content="1"),
        Message(role="tool", content="2"),
        Message(role="assistant", tool_calls=[ToolCall(name="h", id="own")]),
        Message(role="tool", content="3", tool_call_id="own"),
    )
    written = outgoing_request(ChatRequest(messages), "m", FLAVORS["openai"]).body["messages"]
    assert [call["id"] for message in written for call in message.get("tool_calls", [])] == ["call_1", "call_2", "own"]
    assert [message["tool_call_id"] for message in written if message["role"] == "tool"] == ["call_1", "call_2", "own"]
    assert written[0]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"ä": 1}'}


def test_a_server_whose_own_limit_is_small_is_sent_a_larger_one() -> None:
    assert outgoing_request(ChatRequest(HELLO), "m", FLAVORS["mlx_lm.server"]).body["max_tokens"] == 8192
    assert "max_tokens" not in outgoing_request(ChatRequest(HELLO), "m", FLAVORS["vllm"]).body
