"""One answer as it arrives: pieces of a server's stream in, chunks and the result out. It must not know HTTP."""

import re
import time
from dataclasses import replace

from mcp_local_llm.parsing import OutputStream, Parsed, parse_message
from mcp_local_llm.parsing.answer_schema import bounding_advice, schema_fault
from mcp_local_llm.values.chat import ChatChunk, ChatRequest, ChatResult, FinishReason, Timings, ToolCall, Usage
from mcp_local_llm.values.endpoint import Endpoint
from mcp_local_llm.values.progress import PROGRESS_INTERVAL_S, Phase, Progress
from mcp_local_llm.wire.flavors import FLAVORS
from mcp_local_llm.wire.openai.read_response import AnswerMessage, AnswerPiece

# What servers add to a model's name: a file's ending, Ollama's default tag, OpenAI's date.
_ADDITION = re.compile(r"(?:\.gguf|:latest|[-@]\d{4}-?\d\d-?\d\d)$")


class AnswerCollector:
    """Collects the pieces of one answer into chunks and the result.

    Args:
        request: that is answered.
        model_id: the model's id here.
        endpoint: the server, whose flavor decides how the answer is read.
        warnings: about the request as it was sent.
    """

    def __init__(self, request: ChatRequest, model_id: str, endpoint: Endpoint, warnings: tuple[str, ...]) -> None:
        self._request = request
        self._model_id = model_id
        self._endpoint = endpoint
        self._flavor = FLAVORS[endpoint.flavor]
        self._warnings = warnings
        self._message = AnswerMessage()
        self._tools = [tool.openai() for tool in request.callable_tools] or None
        self._output = OutputStream(think_prefilled=False, tools=self._tools)
        self._reasoning = _Trimmed()
        self._separate = False
        self._last = AnswerPiece()
        self._sent = self._last_chunk = time.monotonic()
        self._first: float | None = None
        self._latest = self._sent
        self._reasoning_pieces = 0
        self.pieces = 0

    @property
    def complete(self) -> bool:
        """Whether the answer has ended and its token counts are here."""
        return self.ended and self._last.usage is not None

    @property
    def ended(self) -> bool:
        """Whether the server said why the answer ended."""
        return self._last.finish_reason is not None

    @property
    def length(self) -> int:
        """Characters so far, with reasoning and calls."""
        return self._message.length

    def take(self, piece: AnswerPiece) -> ChatChunk | None:
        """Add the next piece; return a chunk when one is due."""
        self._message.add(piece)
        self._last = _merged(self._last, piece)
        if piece.progress is not None and not self.pieces:
            return ChatChunk(piece.progress)
        if not (piece.content or piece.reasoning or piece.calls):
            return None
        now = self._latest = time.monotonic()
        if self._first is None:
            self._first = now
        self.pieces += 1
        text, reasoning = self._certain(piece)
        phase: Phase = "reasoning" if piece.reasoning or self._output.channel == "reasoning" else "answer"
        self._reasoning_pieces += phase == "reasoning"
        if self._request.stream:
            return ChatChunk(self._progress(phase, now), text=text, reasoning=reasoning)
        if now - self._last_chunk < PROGRESS_INTERVAL_S:
            return None
        self._last_chunk = now
        return ChatChunk(self._progress(phase, now))

    def result(self) -> ChatResult:
        """Parse the whole message into the result."""
        parsed = self._parsed()
        if not self._request.parallel_tool_calls:
            parsed = parsed.with_one_call()
        fault = self._schema_fault(parsed)
        reason, doubt = _finish_reason(self._last.finish_reason, parsed.tool_calls)
        result = ChatResult(
            text=parsed.text,
            reasoning=parsed.reasoning,
            tool_calls=parsed.tool_calls,
            finish_reason=reason,
            model=self._model_id,
            usage=self._usage(parsed.reasoning),
            timings=self._timings(),
            thinking_closed=parsed.thinking_closed,
            warnings=(*self._warnings, *doubt, *parsed.warnings, *self._doubts(parsed, fault)),
            schema_met=None if fault is None else not fault,
            schema_advice=self._advice(parsed, fault, cut=reason == "length") if fault else "",
        )
        extension = self._last.extension
        if extension is None:
            return result
        return replace(
            result,
            thinking_closed=extension.thinking_closed,
            looped=extension.looped,
            stop_string=extension.stop_string,
            schema_met=extension.schema_met if result.schema_met is None else result.schema_met,
            timings=extension.timings,
            warnings=(*self._warnings, *extension.warnings),
        )

    def _certain(self, piece: AnswerPiece) -> tuple[str, str]:
        """Return the text and the reasoning that a piece makes certain."""
        if not self._flavor.raw:
            return piece.content, piece.reasoning
        text, thought = "", piece.reasoning
        self._separate = self._separate or bool(thought)
        for event in self._output.feed(piece.content) if piece.content else ():
            if event[0] == "text":
                text += event[1]
            elif event[0] == "reasoning" and not self._separate:
                # A second block, behind the separate one, is joined to it at the end.
                thought += event[1]
        return text, self._reasoning.add(thought)

    def _parsed(self) -> Parsed:
        """Take the whole message apart, unless the server has done so by the same rules."""
        message = self._message.message()
        if self._flavor.raw:
            return parse_message(message, think_prefilled=False, tools=self._tools)
        without_content = {**message, "content": "", "reasoning_content": ""}
        calls = parse_message(without_content, think_prefilled=False, tools=self._tools).tool_calls
        return Parsed(message["content"], message.get("reasoning_content", ""), calls)

    def _schema_fault(self, parsed: Parsed) -> str | None:
        """Return why an answer does not validate; None where no schema was asked for, or a tool was called instead."""
        schema = self._request.response_schema
        return None if schema is None or (parsed.tool_calls and not parsed.text) else schema_fault(parsed.text, schema)

    def _advice(self, parsed: Parsed, fault: str, *, cut: bool) -> str:
        return bounding_advice(parsed.text, self._request.response_schema or {}) if cut else f"Fault: {fault}."

    def _progress(self, phase: Phase, now: float) -> Progress:
        seconds = now - (self._first if self._first is not None else now)
        return Progress(phase, self.pieces, rate=self.pieces / seconds if seconds > 0 else None)

    def _doubts(self, parsed: Parsed, fault: str | None) -> list[str]:
        """Warn where the server did not do what the request asked."""
        server, asked, doubts = self._endpoint.name, self._endpoint.served_name(self._model_id), list[str]()
        if self._last.model is not None and not _same_model(self._last.model, asked):
            doubts.append(f"{server} says that {self._last.model} answered, but {asked} was asked.")
        if self._request.thinking is False and self._flavor.thinking and parsed.reasoning:
            doubts.append(f"{server} was asked not to reason, and did; check the endpoint's flavor.")
        if fault:
            doubts.append(f"{server} was given response_schema, but the answer does not validate: {fault}.")
        if self._request.must_call and not parsed.tool_calls:
            doubts.append(f"{server} was asked for a tool call, and its answer has none.")
        if self._last.usage is None:
            doubts.append(f"{server} told no token counts; they are estimated from its stream.")
        return doubts

    def _usage(self, reasoning: str) -> Usage:
        told = self._last.usage or Usage(completion_tokens=self.pieces)
        if self._last.extension is not None:
            return told  # Our own server counts tokens, so its 0 is no gap to be filled with a guess.
        thought = told.reasoning_tokens or (min(self._reasoning_pieces, told.completion_tokens) if reasoning else 0)
        return replace(told, reasoning_tokens=thought)

    def _timings(self) -> Timings:
        first = self._first if self._first is not None else self._latest
        return self._last.timings or Timings(prefill_s=first - self._sent, decode_s=self._latest - first)


class _Trimmed:
    """Strips outer white space from a text that arrives in pieces."""

    def __init__(self) -> None:
        self._held = ""
        self._begun = False

    def add(self, piece: str) -> str:
        text = self._held + piece if self._begun else piece.lstrip()
        kept = text.rstrip()
        self._held = text[len(kept) :]
        self._begun = self._begun or bool(kept)
        return kept


def _merged(before: AnswerPiece, piece: AnswerPiece) -> AnswerPiece:
    """Merge what describes the whole answer: the first model name, and the last value of everything else."""
    return AnswerPiece(
        finish_reason=piece.finish_reason or before.finish_reason,
        model=before.model or piece.model,
        usage=piece.usage or before.usage,
        timings=piece.timings or before.timings,
        extension=piece.extension or before.extension,
    )


def _finish_reason(told: str | None, calls: tuple[ToolCall, ...]) -> tuple[FinishReason, list[str]]:
    """Translate a server's finish reason, with warnings about what it lost."""
    if told == "length":
        return "length", []
    doubts: list[str] = []
    if told == "content_filter":
        doubts.append("The server's content filter ended the answer.")
    if told in ("tool_calls", "function_call") and not calls:
        doubts.append("The server reported tool calls, but none of them could be read.")
    return "tool_calls" if calls else "stop", doubts


def _same_model(reported: str, asked: str) -> bool:
    """Tell whether two names mean one model: servers add paths, tags (`:latest`), dates and file endings."""
    one, other = (_ADDITION.sub("", name.casefold().rstrip("/").rpartition("/")[2]) for name in (reported, asked))
    return one == other
