"""Writes the answer to a Responses request: the object `response`, and the events that it grows by. Pure.

A whole answer is what its events add up to. It never ends as `incomplete`, because Codex takes that for a failure; the
member `local_llm` tells that an answer was cut.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mcp_local_llm.values.chat import ChatChunk, ChatResult, ToolCall, Usage
from mcp_local_llm.values.errors import LocalLLMError
from mcp_local_llm.wire.openai.write_response import EXTENSION_KEY, write_extension
from mcp_local_llm.wire.responses.errors import failed_error
from mcp_local_llm.wire.responses.read_request import IncomingResponse
from mcp_local_llm.wire.responses.tool_names import CUSTOM_INPUT, ToolName

Json = dict[str, Any]
TextKind = Literal["reasoning", "message"]

_MAX_TOKENS = re.compile(r"\bmax_tokens\b")


@dataclass(frozen=True)
class ResponseIdentity:
    """What an answer is known by: a unique word of its ids, and its creation time in seconds since 1970."""

    unique: str
    created: int


class ResponseStream:
    """Turns the chunks of one answer into events. Each event holds its `type` and its number.

    Until the first chunk names the model that answers, events name the requested one.
    """

    def __init__(self, identity: ResponseIdentity, asked: IncomingResponse) -> None:
        self._identity = identity
        # Not all of it: a stream may be kept for some time after its end, and the input is large.
        self._names, self._echo = asked.names, asked.echo
        self._model = asked.model or ""
        self._output: list[Json] = []
        self._open: _OpenText | None = None
        self._sent: dict[TextKind, int] = {"reasoning": 0, "message": 0}
        self._number = 0

    def begin(self) -> list[Json]:
        """Return the events before the first token."""
        return [self._lifecycle("created", "in_progress"), self.beat()]

    def beat(self) -> Json:
        """Return an event that changes nothing, and keeps the client waiting."""
        return self._lifecycle("in_progress", "in_progress")

    def events(self, chunk: ChatChunk) -> list[Json]:
        """Return the events of one chunk: none for mere progress, several for the result."""
        self._model = chunk.model or self._model
        if chunk.result is not None:
            return list(self._end(chunk.result))
        return [*self._text("reasoning", chunk.reasoning), *self._text("message", chunk.text)]

    def failure(self, error: LocalLLMError, message: str) -> Json:
        """Return the last event of an answer that failed; items that are complete stay valid."""
        return self._lifecycle("failed", "failed", error=failed_error(error, message), output=self._output)

    def whole(self, result: ChatResult) -> Json:
        """Return an answer in one piece."""
        return self.events(ChatChunk(result=result, model=result.model))[-1]["response"]

    def _end(self, result: ChatResult) -> Iterator[Json]:
        texts: dict[TextKind, str] = {"reasoning": result.reasoning, "message": result.text}
        # What is open goes on; otherwise the reasoning comes first.
        begun = self._open.kind if self._open else "reasoning"
        for kind in sorted(texts, key=lambda kind: kind != begun):
            yield from self._text(kind, texts[kind][self._sent[kind] :])
        if not (result.text or result.tool_calls):
            yield from self._text("message", "", empty=True)
        yield from self._close()
        used = set[str]()
        for number, call in enumerate(result.tool_calls):
            id = call.id if call.id and call.id not in used else f"call_{self._identity.unique}_{number}"
            used.add(id)
            yield from self._call(call, id)
        told = write_extension(result)
        # The engine's warnings name a limit as chat completions do.
        warnings = [_MAX_TOKENS.sub("max_output_tokens", warning) for warning in result.warnings]
        told[EXTENSION_KEY] |= {"finish_reason": result.finish_reason, "warnings": warnings}
        yield self._lifecycle("completed", "completed", output=self._output, usage=usage(result.usage), **told)

    def _text(self, kind: TextKind, text: str, *, empty: bool = False) -> Iterator[Json]:
        """Add to the open item, or close it and open one of this kind."""
        if not (text or empty):
            return
        if self._open is None or self._open.kind != kind:
            yield from self._close()
            self._open = _OpenText(kind, self._id("rs" if kind == "reasoning" else "msg"))
            yield self._event("output_item.added", item=self._open.item("in_progress", ()))
            yield self._part("content_part.added", part=self._open.part(""))
        self._open.text += text
        self._sent[kind] += len(text)
        if text:
            yield self._part(f"{self._open.channel}.delta", delta=text, **self._open.logprobs())

    def _close(self) -> Iterator[Json]:
        """Complete the open item."""
        if (done := self._open) is None:
            return
        yield self._part(f"{done.channel}.done", text=done.text, **done.logprobs())
        yield self._part("content_part.done", part=done.part(done.text))
        self._open = None
        yield self._done(done.item("completed", (done.part(done.text),)))

    def _call(self, call: ToolCall, id: str) -> Iterator[Json]:
        """Write a call; its arguments come in one piece, because they are read when it is complete."""
        tool = self._names.of_call(call.name)
        kind, channel, member, given = _written_call(call, tool)
        item: Json = {"type": kind, "id": self._id("fc" if tool.kind == "function" else "ctc"), "call_id": id}
        item |= {"name": tool.name, **({"namespace": tool.namespace} if tool.namespace else {})}
        place = {"item_id": item["id"]}
        yield self._event("output_item.added", item={**item, member: "", "status": "in_progress"})
        yield self._event(f"{channel}.delta", **place, delta=given)
        yield self._event(f"{channel}.done", **place, **{member: given})
        yield self._done({**item, member: given, "status": "completed"})

    def _done(self, item: Json) -> Json:
        event = self._event("output_item.done", item=item)
        self._output.append(item)
        return event

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._identity.unique}_{len(self._output)}"

    def _part(self, kind: str, **members: Any) -> Json:
        assert self._open is not None
        return self._event(kind, item_id=self._open.id, content_index=0, **members)

    def _event(self, kind: str, **members: Any) -> Json:
        """Write an event about the item that is open or comes next."""
        return self._numbered(kind, output_index=len(self._output), **members)

    def _lifecycle(self, event: str, status: str, **members: Any) -> Json:
        response: Json = {
            "id": f"resp_{self._identity.unique}",
            "object": "response",
            "created_at": self._identity.created,
            "status": status,
            "model": self._model,
            "output": [],
            "error": None,
            "incomplete_details": None,
            "usage": None,
            **self._echo,
            "background": False,
            "previous_response_id": None,
            "store": False,
            "truncation": "disabled",
            **members,
        }
        return self._numbered(event, response=response)

    def _numbered(self, kind: str, **members: Any) -> Json:
        event = {"type": f"response.{kind}", "sequence_number": self._number, **members}
        self._number += 1
        return event


@dataclass
class _OpenText:
    """The item that grows: reasoning or a message."""

    kind: TextKind
    id: str
    text: str = ""

    @property
    def channel(self) -> str:
        return "reasoning_text" if self.kind == "reasoning" else "output_text"

    def logprobs(self) -> Json:
        return {} if self.kind == "reasoning" else {"logprobs": []}

    def part(self, text: str) -> Json:
        if self.kind == "reasoning":
            return {"type": "reasoning_text", "text": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def item(self, status: str, content: tuple[Json, ...]) -> Json:
        more: Json = {"summary": [], "encrypted_content": None} if self.kind == "reasoning" else {"role": "assistant"}
        return {"type": self.kind, "id": self.id, "status": status, "content": list(content), **more}


def usage(counts: Usage) -> Json:
    """Write token counts as this API does."""
    return {
        "input_tokens": counts.prompt_tokens,
        "input_tokens_details": {"cached_tokens": counts.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": counts.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": counts.reasoning_tokens},
        "total_tokens": counts.prompt_tokens + counts.completion_tokens,
    }


def _written_call(call: ToolCall, tool: ToolName) -> tuple[str, str, str, str]:
    """Return the type of a call's item, the name of its events, the member for what is given, and that."""
    arguments: Mapping[str, Any] = call.arguments
    if tool.kind == "function":
        written = json.dumps(arguments, ensure_ascii=False)
        return "function_call", "function_call_arguments", "arguments", written
    texts = [value for value in arguments.values() if isinstance(value, str)]
    text = arguments.get(CUSTOM_INPUT, texts[0] if len(texts) == 1 == len(arguments) else None)
    given = text if isinstance(text, str) else json.dumps(arguments, ensure_ascii=False)
    return "custom_tool_call", "custom_tool_call_input", "input", given
