"""Reads the body of a `POST /chat/completions` that a client sends to our server. Pure.

OpenAI's rules: an unknown field is refused by name; one that cannot change the answer is taken and ignored; one that
would change it and is not supported here is refused by name.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from mcp_local_llm.values.chat import ChatRequest, Message, SamplingParams, ToolCall, ToolSpec
from mcp_local_llm.wire.openai.errors import ParameterError
from mcp_local_llm.wire.openai.request_schema import (
    ChatCompletionRequest,
    MessageIn,
    ResponseFormat,
    ToolCallIn,
    ToolIn,
)
from mcp_local_llm.wire.openai.tool_choice import choose_tools

IGNORED = frozenset(
    {
        "cache_prompt",
        "keep_alive",
        "metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
        "verbosity",
    }
)
"""Fields that cannot change what the answer says, whatever their value."""

UNSUPPORTED: Mapping[str, object] = {
    "audio": None,
    "function_call": None,
    "functions": None,
    "logit_bias": {},
    "logprobs": False,
    "modalities": ["text"],
    "moderation": None,
    "n": 1,
    "prediction": None,
    "top_logprobs": 0,
    "web_search_options": None,
}
"""OpenAI's fields that are not supported here → the value (besides null) that asks for nothing."""


@dataclass(frozen=True)
class IncomingRequest:
    """A request, and the form in which the client wants the answer.

    Attributes:
        model: the requested model; None is the chosen one.
        stream: send events instead of one JSON body.
        include_usage: a stream ends with an event that tells the usage.
    """

    request: ChatRequest
    model: str | None
    stream: bool
    include_usage: bool


def incoming_request(body: object) -> IncomingRequest:
    """Check a decoded JSON body and turn it into a request.

    Raises:
        ParameterError: a field is unknown, unsupported or wrong; `param` names it.
    """
    if not isinstance(body, dict):
        raise ParameterError("The body of the request must be a JSON object.", "body")
    checked = _validated(_supported(cast(dict[str, Any], body)))
    messages = tuple(_message(message, f"messages[{index}]") for index, message in enumerate(checked.messages))
    stream, options = checked.stream or False, checked.stream_options
    tools, must_call, single = choose_tools(checked.tool_choice, _tools(checked.tools or []))
    request = ChatRequest(
        messages=messages,
        tools=tools,
        sampling=_sampling(checked),
        thinking=_thinking(checked),
        stream=stream and (options is None or options.include_text),
        max_thinking_tokens=checked.max_thinking_tokens,
        response_schema=_schema(checked.response_format),
        must_call=must_call,
        parallel_tool_calls=checked.parallel_tool_calls is not False and not single,
    )
    include_usage = options is not None and options.include_usage
    return IncomingRequest(request, checked.model, stream, include_usage)


def _supported(body: dict[str, Any]) -> dict[str, Any]:
    """Drop ignored fields, and refuse unsupported ones."""
    for name, nothing in UNSUPPORTED.items():
        if body.get(name) not in (None, nothing):
            raise ParameterError(f"{name} is not supported by this server; leave it out.", name)
    unread = IGNORED | UNSUPPORTED.keys()
    return {name: value for name, value in body.items() if name not in unread and value is not None}


def _validated(body: dict[str, Any]) -> ChatCompletionRequest:
    try:
        return ChatCompletionRequest.model_validate(body)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        param = _dotted(problem["loc"])
        if problem["type"] == "extra_forbidden":
            raise ParameterError(f"Unrecognized request argument supplied: {param}", param) from error
        if problem["type"] == "missing":
            raise ParameterError(f"Missing required parameter: '{param}'.", param) from error
        raise ParameterError(f"Invalid value for '{param}': {problem['msg']}.", param) from error


def _dotted(location: tuple[int | str, ...]) -> str:
    """Write a place as OpenAI does: `messages[0].role`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


def _message(message: MessageIn, place: str) -> Message:
    for index, part in enumerate(message.content):
        if part.type != "text":
            param = f"{place}.content[{index}].type"
            raise ParameterError(f"{param}: parts of type {part.type!r} are not supported, only text.", param)
    return Message(
        role="system" if message.role == "developer" else message.role,
        content="".join(part.text for part in message.content),
        name=message.name,
        tool_call_id=message.tool_call_id,
        tool_calls=[_call(call, f"{place}.tool_calls[{index}]") for index, call in enumerate(message.tool_calls or [])],
    )


def _call(call: ToolCallIn, place: str) -> ToolCall:
    try:
        arguments: object = json.loads(call.function.arguments or "{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        param = f"{place}.function.arguments"
        raise ParameterError(f"{param} must be the text of a JSON object.", param)
    return ToolCall(name=call.function.name, arguments=cast(dict[str, Any], arguments), id=call.id)


def _tools(tools: list[ToolIn]) -> tuple[ToolSpec, ...]:
    try:
        return TypeAdapter(tuple[ToolSpec, ...]).validate_python([tool.function for tool in tools])
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        index, *rest = problem["loc"]
        param = _dotted(("tools", index, "function", *rest))
        raise ParameterError(f"Invalid value for '{param}': {problem['msg']}.", param) from error


def _sampling(body: ChatCompletionRequest) -> SamplingParams:
    """Read the fields that have the names of ours; OpenAI's newer name of `max_tokens` wins."""
    values: dict[str, Any] = {field.name: getattr(body, field.name) for field in fields(SamplingParams)}
    values |= {"max_tokens": body.max_completion_tokens or body.max_tokens, "stop": tuple(body.stop or ())}
    return SamplingParams(**values)


def _thinking(body: ChatCompletionRequest) -> bool | None:
    """Read both switches; the chat template's own wins."""
    if body.chat_template_kwargs is not None and body.chat_template_kwargs.enable_thinking is not None:
        return body.chat_template_kwargs.enable_thinking
    return None if body.reasoning_effort is None else body.reasoning_effort != "none"


def _schema(form: ResponseFormat | None) -> dict[str, Any] | None:
    """Return the schema that the answer must meet; `json_object` means any object."""
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return {"type": "object"}
    if form.json_schema is None:
        raise ParameterError(
            "Missing required parameter: 'response_format.json_schema'.", "response_format.json_schema"
        )
    return form.json_schema.json_schema
