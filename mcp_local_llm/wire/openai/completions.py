"""OpenAI's older `POST /completions`, both ways: a text that is continued as it stands, without a chat template. Pure.

Editors complete code through it, and models without a chat template accept nothing else. `read_request` reads the
fields that both APIs have in common.
"""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, cast

from pydantic import Field

from mcp_local_llm.values.chat import ChatChunk, ChatResult, SamplingParams
from mcp_local_llm.values.placeholders import filled_in
from mcp_local_llm.wire.openai.errors import ParameterError
from mcp_local_llm.wire.openai.read_request import IncomingRequest, incoming_request
from mcp_local_llm.wire.openai.request_schema import GenerationRequest, StreamOptions
from mcp_local_llm.wire.openai.thinking_switches import BUDGETS, SWITCHES
from mcp_local_llm.wire.openai.write_response import CompletionIdentity, usage, write_extension
from mcp_local_llm.wire.request_object import body_object

DEFAULT_MAX_TOKENS = 16
"""OpenAI's default; a raw prompt has no natural end."""


class CompletionRequest(GenerationRequest):
    """The body of `POST /v1/completions`; `prompt` is a text, or a list with one."""

    prompt: Annotated[str, Field(min_length=1)] | Annotated[list[str], Field(min_length=1, max_length=1)]
    stream_options: StreamOptions | None = None


CHAT_ONLY: Mapping[str, tuple[object, ...]] = {
    "max_thinking_tokens": (),
    "messages": (),
    "response_format": ({"type": "text"},),
    "tool_choice": ("auto", "none"),
    "tools": (),
    **dict.fromkeys((*SWITCHES, *BUDGETS), (False, "none")),
}
"""Fields that mean nothing to a raw prompt → the values that ask for nothing."""


def incoming_completion(body: object) -> IncomingRequest:
    """Check a decoded JSON body and turn it into a request with a raw prompt.

    Raises:
        ParameterError: a field is unsupported or wrong; `param` names it.
    """
    given = body_object(body)
    prompt = _prompt(given.get("prompt"))
    fields = filled_in({name: value for name, value in given.items() if name != "prompt"})
    for name, nothing in CHAT_ONLY.items():
        if name in fields and fields.pop(name) not in nothing:
            raise ParameterError(f"{name} has no meaning for a raw prompt; leave it out, or send messages.", name)
    incoming = incoming_request({**fields, "messages": [{"role": "user", "content": prompt}]})
    sampling = incoming.request.sampling.over(SamplingParams(max_tokens=DEFAULT_MAX_TOKENS))
    request = dataclasses.replace(incoming.request, messages=(), prompt=prompt, sampling=sampling)
    return dataclasses.replace(incoming, request=request)


def _prompt(value: object) -> str:
    """Return the one text that is to be continued; OpenAI also takes a list of them, and token ids."""
    texts = cast(list[object], value) if isinstance(value, list) else [value]
    if len(texts) != 1 or not isinstance(texts[0], str):
        raise ParameterError("prompt must be one text; several, or token ids, are not supported.", "prompt")
    if not texts[0]:
        raise ParameterError("prompt must not be empty.", "prompt")
    return texts[0]


def text_completion(result: ChatResult, identity: CompletionIdentity) -> dict[str, Any]:
    """Write a finished answer in one piece."""
    return {
        **_event(identity, result.text, result.finish_reason),
        "usage": usage(result.usage),
        **write_extension(result),
    }


class TextCompletionStream:
    """Turns the chunks of one answer into events."""

    def __init__(self, identity: CompletionIdentity, *, include_usage: bool = False) -> None:
        self._identity = identity
        self._include_usage = include_usage
        self._sent = 0

    def events(self, chunk: ChatChunk) -> list[dict[str, Any]]:
        """Return the events of one chunk: none for mere progress, several for the result."""
        result = chunk.result
        if result is None:
            self._sent += len(chunk.text)
            return [self._one(chunk.text, None)] if chunk.text else []
        rest = result.text[self._sent :]
        events = [{**self._one(rest, result.finish_reason), **write_extension(result)}]
        if self._include_usage:
            events.append({**self._one("", None), "choices": [], "usage": usage(result.usage)})
        return events

    def _one(self, text: str, finish_reason: str | None) -> dict[str, Any]:
        event = _event(self._identity, text, finish_reason)
        return {**event, "usage": None} if self._include_usage else event


def _event(identity: CompletionIdentity, text: str, finish_reason: str | None) -> dict[str, Any]:
    return {
        **identity.members("text_completion"),
        "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}],
    }
