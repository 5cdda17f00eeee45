"""Writes our server's responses: `chat.completion`, `chat.completion.chunk`, the model list and the member `local_llm`.

Pure.
"""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mcp_local_llm.values.chat import ChatChunk, ChatResult, ToolCall, Usage

EXTENSION_KEY = "local_llm"
"""Our own member of a response: timings, warnings, and how the answer ended."""


REASONING_KEYS = ("reasoning", "reasoning_content")
"""Members that both hold the reasoning: each client reads one of them."""


@dataclass(frozen=True)
class CompletionIdentity:
    """The members that every event of one answer repeats: id, creation time (seconds since 1970), model."""

    id: str
    created: int
    model: str

    def members(self, kind: str) -> dict[str, Any]:
        """Write them for an object of this kind."""
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


class CompletionStream:
    """Turns the chunks of one answer into events; what was streamed already is not sent again at the end."""

    def __init__(self, identity: CompletionIdentity, *, include_usage: bool = False) -> None:
        self._identity = identity
        self._include_usage = include_usage
        self._begun = False
        self._text = 0
        self._reasoning = 0

    def events(self, chunk: ChatChunk) -> list[dict[str, Any]]:
        """Return the events of one chunk: none for mere progress, several for the result."""
        if chunk.result is not None:
            return self._end(chunk.result)
        return self._deltas(chunk.text, chunk.reasoning)

    def _deltas(self, text: str, reasoning: str) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        if (text or reasoning) and not self._begun:
            events.append(self._event({"role": "assistant", "content": ""}))
            self._begun = True
        if reasoning:
            events.append(self._event(dict.fromkeys(REASONING_KEYS, reasoning)))
        if text:
            events.append(self._event({"content": text}))
        self._text += len(text)
        self._reasoning += len(reasoning)
        return events

    def _end(self, result: ChatResult) -> list[dict[str, Any]]:
        events = self._deltas(result.text[self._text :], result.reasoning[self._reasoning :])
        if not self._begun:
            events.append(self._event({"role": "assistant", "content": ""}))
        if result.tool_calls:
            calls = [
                {"index": number, **_call(call, number, self._identity)}
                for number, call in enumerate(result.tool_calls)
            ]
            events.append(self._event({"tool_calls": calls}))
        events.append({**self._event({}, result.finish_reason), **write_extension(result)})
        if self._include_usage:
            events.append({**self._event({}), "choices": [], "usage": usage(result.usage)})
        return events

    def _event(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        event: dict[str, Any] = {
            **self._identity.members("chat.completion.chunk"),
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}],
        }
        # OpenAI: with include_usage every event has the member, null in all but the last.
        return {**event, "usage": None} if self._include_usage else event


def completion(result: ChatResult, identity: CompletionIdentity) -> dict[str, Any]:
    """Write a finished answer in one piece."""
    message: dict[str, Any] = {"role": "assistant", "content": result.text, "refusal": None}
    if not result.text and result.tool_calls:
        message["content"] = None
    if result.reasoning:
        message |= dict.fromkeys(REASONING_KEYS, result.reasoning)
    if result.tool_calls:
        message["tool_calls"] = [_call(call, number, identity) for number, call in enumerate(result.tool_calls)]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": result.finish_reason}
    return {
        **identity.members("chat.completion"),
        "choices": [choice],
        "usage": usage(result.usage),
        **write_extension(result),
    }


def model_list(ids: Iterable[str]) -> dict[str, Any]:
    """Write the answer of `GET /v1/models`, in the given order."""
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "mcp-local-llm"} for name in ids]
    return {"object": "list", "data": data}


def usage(counts: Usage) -> dict[str, Any]:
    """Write token counts as OpenAI does."""
    return {
        "prompt_tokens": counts.prompt_tokens,
        "completion_tokens": counts.completion_tokens,
        "total_tokens": counts.prompt_tokens + counts.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": counts.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": counts.reasoning_tokens},
    }


def write_extension(result: ChatResult) -> dict[str, Any]:
    """Return the member to put into the last event, or into the whole answer."""
    return {
        EXTENSION_KEY: {
            "timings": {name: round(value, 4) for name, value in dataclasses.asdict(result.timings).items()},
            "thinking_closed": result.thinking_closed,
            "looped": result.looped,
            "schema_met": result.schema_met,
            "stop_string": result.stop_string,
            "warnings": list(result.warnings),
        }
    }


def _call(call: ToolCall, number: int, identity: CompletionIdentity) -> dict[str, Any]:
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    ident = call.id or f"call_{identity.id.removeprefix('chatcmpl-')}_{number}"
    return {"id": ident, "type": "function", "function": {"name": call.name, "arguments": arguments}}
