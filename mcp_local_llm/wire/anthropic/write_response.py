"""Writes answers of the Messages API, whole and as events. Pure.

A text block always comes, because Claude Code asks again where none does. Signatures are empty: nothing here needs to
know its own reasoning again.
"""

import json
from typing import Any
from uuid import uuid4

from mcp_local_llm.values.chat import ChatChunk, ChatResult, ToolCall, Usage
from mcp_local_llm.values.progress import Progress
from mcp_local_llm.wire.openai.write_response import write_extension

NO_TEXT = "[The model ended its answer without any text.]"
"""The text of an answer that has neither text nor calls."""

Event = dict[str, Any]

PING: Event = {"type": "ping"}


def whole_message(result: ChatResult) -> Event:
    """Write a finished answer in one piece."""
    content: list[Event] = []
    if result.reasoning:
        content.append({"type": "thinking", "thinking": result.reasoning, "signature": ""})
    content.append({"type": "text", "text": _shown_text(result)})
    content += [{**_tool_block(call), "input": call.arguments} for call in result.tool_calls]
    return {
        **_message(result.model),
        "content": content,
        **_stop(result),
        "usage": usage(result.usage),
        **write_extension(result),
    }


def usage(counts: Usage) -> Event:
    """Write token counts as Anthropic does: `input_tokens` are those that were not in the KV cache."""
    return {
        "input_tokens": counts.prompt_tokens - counts.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": counts.cached_tokens,
        "output_tokens": counts.completion_tokens,
        "output_tokens_details": {"thinking_tokens": counts.reasoning_tokens},
    }


class MessageEvents:
    """Turns the chunks of one answer into events; what was streamed already is not sent again at the end."""

    def __init__(self) -> None:
        self._begun = False
        # The kind of the open block, which is the last one; empty where none is open.
        self._open = ""
        self._blocks = 0
        self._text = 0
        self._reasoning = 0

    def events(self, chunk: ChatChunk) -> list[Event]:
        """Return the events of one chunk; the progress in the first chunk tells the size of the prompt."""
        result = chunk.result
        if result is None:
            says = chunk.text or chunk.reasoning
            return [*self._begin(chunk), *self._deltas(chunk.text, chunk.reasoning)] if says else []
        events = [*self._begin(chunk), *self._deltas(result.text[self._text :], result.reasoning[self._reasoning :])]
        if not self._text:
            events += self._delta("text", _shown_text(result))
        events += self._end_block()
        for call in result.tool_calls:
            events += self._call(call)
        closing: Event = {"type": "message_delta", "delta": _stop(result), "usage": usage(result.usage)}
        return [*events, {**closing, **write_extension(result)}, {"type": "message_stop"}]

    def _begin(self, chunk: ChatChunk) -> list[Event]:
        if self._begun:
            return []
        self._begun = True
        message: Event = {**_message(chunk.model), "content": [], "stop_reason": None, "stop_sequence": None}
        counts = chunk.result.usage if chunk.result else _read_so_far(chunk.progress)
        return [{"type": "message_start", "message": {**message, "usage": {**usage(counts), "output_tokens": 0}}}]

    def _deltas(self, text: str, reasoning: str) -> list[Event]:
        self._text += len(text)
        self._reasoning += len(reasoning)
        return [
            *(self._delta("thinking", reasoning) if reasoning else ()),
            *(self._delta("text", text) if text else ()),
        ]

    def _delta(self, kind: str, text: str) -> list[Event]:
        """Write a piece of text or of thinking, into a new block where another kind is open."""
        events: list[Event] = []
        if self._open != kind:
            block = {"type": kind, kind: ""}
            events = self._start(kind, block if kind == "text" else {**block, "signature": ""})
        return [*events, self._piece({"type": f"{kind}_delta", kind: text})] if text else events

    def _call(self, call: ToolCall) -> list[Event]:
        arguments = json.dumps(call.arguments, ensure_ascii=False)
        started = self._start("tool_use", {**_tool_block(call), "input": {}})
        return [*started, self._piece({"type": "input_json_delta", "partial_json": arguments}), *self._end_block()]

    def _start(self, kind: str, block: Event) -> list[Event]:
        ended = self._end_block()
        self._open = kind
        self._blocks += 1
        return [*ended, {"type": "content_block_start", "index": self._blocks - 1, "content_block": block}]

    def _piece(self, delta: Event) -> Event:
        return {"type": "content_block_delta", "index": self._blocks - 1, "delta": delta}

    def _end_block(self) -> list[Event]:
        kind, self._open = self._open, ""
        if not kind:
            return []
        signature = [] if kind != "thinking" else [self._piece({"type": "signature_delta", "signature": ""})]
        return [*signature, {"type": "content_block_stop", "index": self._blocks - 1}]


def _shown_text(result: ChatResult) -> str:
    return result.text if result.text or result.tool_calls else NO_TEXT


def _message(model: str) -> Event:
    return {"id": f"msg_{uuid4().hex}", "type": "message", "role": "assistant", "model": model}


def _tool_block(call: ToolCall) -> Event:
    # Always our own id: Claude Code takes two calls of one id for one, and models number theirs from 0.
    return {"type": "tool_use", "id": f"toolu_{uuid4().hex}", "name": call.name}


def _stop(result: ChatResult) -> Event:
    """Return why the answer ended; one that only repeated itself is over, since `max_tokens` would be continued."""
    if result.tool_calls and result.finish_reason != "length":
        return {"stop_reason": "tool_use", "stop_sequence": None}
    if result.finish_reason == "length" and not result.looped:
        return {"stop_reason": "max_tokens", "stop_sequence": None}
    stop = result.stop_string or None
    return {"stop_reason": "stop_sequence" if stop else "end_turn", "stop_sequence": stop}


def _read_so_far(progress: Progress | None) -> Usage:
    """Return the counts that are known when the answer begins."""
    if progress is None or progress.phase != "prefill" or progress.total is None:
        return Usage()
    return Usage(prompt_tokens=progress.total, cached_tokens=progress.done)
