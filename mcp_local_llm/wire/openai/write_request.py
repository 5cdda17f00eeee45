"""Writes a request as the body of another server's `POST /chat/completions` or `/completions`. Pure."""

import dataclasses
import json
from collections import deque
from collections.abc import Iterable
from typing import Any

from mcp_local_llm.values.chat import ChatRequest, Message, SamplingParams
from mcp_local_llm.values.errors import InvalidRequestError
from mcp_local_llm.wire.flavors import Flavor
from mcp_local_llm.wire.openai.tool_choice import write_tools
from mcp_local_llm.wire.template_tokens import broken_up


@dataclasses.dataclass(frozen=True)
class OutgoingRequest:
    """A body to send, its path, and warnings for the caller, one sentence each."""

    body: dict[str, Any]
    warnings: tuple[str, ...] = ()
    path: str = "/chat/completions"


def outgoing_request(request: ChatRequest, served_name: str, flavor: Flavor) -> OutgoingRequest:
    """Write `request` for the model that the server calls `served_name`; always streamed.

    A field that would change the answer and that the server does not accept is refused. A missing switch for thinking
    is a warning only.

    Raises:
        InvalidRequestError: a field that this flavor has no name for; the message names it.
    """
    body: dict[str, Any] = {"model": served_name, "stream": True}
    if flavor.stream_usage:
        body["stream_options"] = {"include_usage": True}
    if not flavor.raw and not request.stream:
        # Our own server can keep an event for each token to itself, which costs both sides time.
        body["stream_options"]["include_text"] = False
    if request.prompt is not None:
        return _continuation(request.prompt, body | _sampling(request.sampling, flavor), flavor)
    body["messages"] = wire_messages(request.messages)
    if request.must_call and not flavor.forced_calls:
        raise _unsupported("tool_choice", flavor)
    body |= write_tools(request, flavor.forced_calls)
    body |= _sampling(request.sampling, flavor)
    body |= _constraints(request, flavor)
    body |= flavor.extra
    warnings: list[str] = []
    if request.thinking is not None:
        body |= flavor.thinking.get(request.thinking, {})
        if not flavor.thinking:
            warnings.append(
                f"thinking was not sent: there is no switch for it that {flavor.title} is known to understand. "
                "Set the endpoint's flavor in the settings if it is another program."
            )
    return OutgoingRequest(body, tuple(warnings))


def _continuation(prompt: str, body: dict[str, Any], flavor: Flavor) -> OutgoingRequest:
    """Write a request for a text that is continued as it stands: without a template, its switches do not apply."""
    if not flavor.completions:
        raise _unsupported("A prompt without a chat template", flavor)
    return OutgoingRequest({**body, "prompt": prompt}, path="/completions")


def wire_messages(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Write a conversation as OpenAI wants it: arguments as JSON text, and each call with an id its result names.

    Calls without an id get one, and results without one belong to the oldest call that has none yet.
    """
    out: list[dict[str, Any]] = []
    open_calls: deque[str] = deque()
    count = 0
    for message in messages:
        # The server may tokenize the rendered prompt as a whole: there a text's <|im_end|> would end the turn.
        written: dict[str, Any] = {"role": message.role, "content": broken_up(message.content)}
        if message.name is not None:
            written["name"] = message.name
        if message.tool_calls:
            calls: list[dict[str, Any]] = []
            for call in message.tool_calls:
                count += 1
                ident = call.id or f"call_{count}"
                open_calls.append(ident)
                function = {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)}
                calls.append({"id": ident, "type": "function", "function": function})
            written["tool_calls"] = calls
        if message.role == "tool":
            answered = message.tool_call_id or (open_calls[0] if open_calls else None)
            if answered in open_calls:
                open_calls.remove(answered)
            if answered is not None:
                written["tool_call_id"] = answered
        out.append(written)
    return out


def _constraints(request: ChatRequest, flavor: Flavor) -> dict[str, Any]:
    """Write the limits that an answer must keep; a server that would ignore one gets no request."""
    body: dict[str, Any] = {}
    if request.max_thinking_tokens is not None:
        if flavor.thinking_budget is None:
            raise _unsupported("max_thinking_tokens", flavor)
        body[flavor.thinking_budget] = request.max_thinking_tokens
    if request.response_schema is not None:
        if not flavor.schema:
            raise _unsupported("response_schema", flavor)
        schema = {"name": "answer", "strict": True, "schema": request.response_schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def _unsupported(name: str, flavor: Flavor) -> InvalidRequestError:
    return InvalidRequestError(
        f"{name} is not supported by {flavor.title}, so nothing was sent. Leave it out, or set the endpoint's flavor "
        "in the settings if it is another program."
    )


def _sampling(sampling: SamplingParams, flavor: Flavor) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for field in dataclasses.fields(sampling):
        value: object = getattr(sampling, field.name)
        if value is None or value == ():
            continue
        if field.name not in flavor.sampling:
            raise _unsupported(field.name, flavor)
        body[flavor.sampling[field.name]] = list(sampling.stop) if field.name == "stop" else value
    if sampling.max_tokens is None and flavor.default_max_tokens is not None:
        body[flavor.sampling["max_tokens"]] = flavor.default_max_tokens
    return body
