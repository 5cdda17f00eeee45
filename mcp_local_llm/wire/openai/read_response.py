"""Reads the responses of other servers: events, whole answers and lists of models. Pure.

A field of the wrong type counts as absent, so that an unusual server needs no code of its own. The member `local_llm`
of our own server is read as an `Extension`.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from mcp_local_llm.values.chat import REASONING_FIELDS, Timings, Usage
from mcp_local_llm.values.progress import Progress
from mcp_local_llm.values.visible_text import printable
from mcp_local_llm.wire.json_values import JsonObject, as_count, as_list, as_number, as_object, as_text
from mcp_local_llm.wire.openai.write_response import EXTENSION_KEY

_OTHER_KINDS = ("embed", "rerank", "whisper", "tts")
"""Parts of names of models that do not chat; servers list them beside the others."""
MAX_MODELS, MAX_NAME = 1000, 200
"""Models of a server that are listed, and the characters of a name: a list is shown, sorted and searched as a whole."""
_MOST, _LONGEST = 20, 2000
"""Warnings of a server that are passed on, and their characters."""


CALL_LENGTH = 4096
"""What a tool call counts for in the length of an answer, so that their number is bounded with it."""


@dataclass(frozen=True)
class Extension:
    """The parts of a `ChatResult` that OpenAI's form has no place for."""

    timings: Timings = field(default_factory=Timings)
    thinking_closed: bool = True
    looped: bool = False
    schema_met: bool | None = None
    warnings: tuple[str, ...] = ()
    stop_string: str = ""


@dataclass(frozen=True)
class CallPiece:
    """A fragment of a structured tool call; pieces with the same `index` belong together."""

    index: int | None
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True)
class AnswerPiece:
    """The content of one event of a stream.

    Attributes:
        finish_reason: as the server wrote it; None while the answer goes on.
        model: the model that answers, as the server names it.
        usage, timings: where the server tells them, which is mostly in the last event.
        extension: the member that only our own server adds.
    """

    content: str = ""
    reasoning: str = ""
    calls: tuple[CallPiece, ...] = ()
    finish_reason: str | None = None
    model: str | None = None
    usage: Usage | None = None
    timings: Timings | None = None
    progress: Progress | None = None
    extension: Extension | None = None


@dataclass(frozen=True)
class ServedModel:
    """A model as a server lists it; `context_length` is in tokens, None where the server does not tell."""

    name: str
    context_length: int | None = None


@dataclass
class _PartialCall:
    index: int | None
    id: str
    name: str
    arguments: list[str] = field(default_factory=list[str])


class AnswerMessage:
    """Joins the pieces of an answer into the message that a server without streaming would have sent.

    Attributes:
        length: characters so far; each call counts for `CALL_LENGTH` more.
    """

    def __init__(self) -> None:
        self.length = 0
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[_PartialCall] = []

    def add(self, piece: AnswerPiece) -> None:
        """Take the next piece."""
        if piece.content:
            self._content.append(piece.content)
        if piece.reasoning:
            self._reasoning.append(piece.reasoning)
        for call in piece.calls:
            self._add_call(call)
        self.length += len(piece.content) + len(piece.reasoning) + sum(len(call.arguments) for call in piece.calls)

    def message(self) -> dict[str, Any]:
        """Return the message so far: OpenAI's form, with `reasoning_content` beside it."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._content)}
        if self._reasoning:
            message["reasoning_content"] = "".join(self._reasoning)
        if self._calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": "".join(call.arguments)},
                }
                for call in self._calls
            ]
        return message

    def _add_call(self, piece: CallPiece) -> None:
        call = self._open_call(piece)
        if call is None:
            call = _PartialCall(piece.index, piece.id, piece.name)
            self._calls.append(call)
            self.length += CALL_LENGTH
        else:
            call.id = call.id or piece.id
            call.name = call.name or piece.name
        call.arguments.append(piece.arguments)

    def _open_call(self, piece: CallPiece) -> _PartialCall | None:
        """Find the call that a piece continues: the same index and no other id, else, without an index, the last.

        Some servers number every whole call 0; an id of its own then tells a new one.
        """
        if piece.index is None:
            begins = bool(piece.name or piece.id)
            return None if begins or not self._calls else self._calls[-1]
        found = next((call for call in reversed(self._calls) if call.index == piece.index), None)
        return None if found and piece.id and found.id and piece.id != found.id else found


def read_answer(value: object) -> AnswerPiece:
    """Read a `chat.completion.chunk`, or a whole `chat.completion` where the server does not stream.

    The `text_completion` that answers a raw prompt is read as well.

    Raises:
        ValueError: it is neither; the message quotes it.
    """
    data = as_object(value)
    if not isinstance(data.get("choices"), list):
        raise ValueError(f"no chat completion but {json.dumps(value, ensure_ascii=False)[:200]}")
    choice = as_object(next(iter(as_list(data["choices"])), None))
    message = as_object(choice.get("delta")) or as_object(choice.get("message"))
    reason = choice.get("finish_reason")
    model = data.get("model")
    return AnswerPiece(
        content=as_text(message.get("content")) or as_text(choice.get("text")),
        reasoning=next((text for name in REASONING_FIELDS if (text := as_text(message.get(name)))), ""),
        calls=tuple(_call_piece(as_object(call)) for call in as_list(message.get("tool_calls"))),
        finish_reason=reason if isinstance(reason, str) and reason else None,
        model=model if isinstance(model, str) and model else None,
        usage=_usage(as_object(data.get("usage"))),
        timings=_timings(as_object(data.get("timings"))),
        progress=_prompt_progress(as_object(data.get("prompt_progress"))),
        extension=read_extension(data),
    )


def read_models(value: object) -> tuple[ServedModel, ...]:
    """Return the first `MAX_MODELS` models that can chat, each once, in the server's order.

    Raises:
        ValueError: it is no list of models.
    """
    data = as_object(value)
    if not isinstance(data.get("data"), list):
        raise ValueError("no list of models")
    found: dict[str, ServedModel] = {}
    for entry in map(as_object, as_list(data["data"])):
        name = as_text(entry.get("id"))
        if 0 < len(name) <= MAX_NAME and not any(part in name.lower() for part in _OTHER_KINDS):
            found.setdefault(name, ServedModel(name, _context_length(entry)))
        if len(found) == MAX_MODELS:
            break
    return tuple(found.values())


def read_extension(data: JsonObject) -> Extension | None:
    """Read the member that `write_extension` writes; None where there is none."""
    if EXTENSION_KEY not in data:
        return None
    found = as_object(data[EXTENSION_KEY])
    timings = as_object(found.get("timings"))
    seconds = {item.name: as_number(timings.get(item.name)) or 0.0 for item in dataclasses.fields(Timings)}
    return Extension(
        timings=Timings(**seconds),
        thinking_closed=found.get("thinking_closed") is not False,
        looped=found.get("looped") is True,
        schema_met=met if isinstance(met := found.get("schema_met"), bool) else None,
        stop_string=as_text(found.get("stop_string")),
        warnings=tuple(_sentence(text) for text in as_list(found.get("warnings"))[:_MOST] if isinstance(text, str)),
    )


def _sentence(text: str) -> str:
    """Return a warning of a server as one line without control characters."""
    return " ".join(printable(text[:_LONGEST]).split())


def _call_piece(call: JsonObject) -> CallPiece:
    function = as_object(call.get("function"))
    arguments = function.get("arguments")
    # Ollama's own form carries an object where OpenAI's carries JSON text.
    text = as_text(arguments) if arguments is None or isinstance(arguments, str) else json.dumps(arguments)
    return CallPiece(as_count(call.get("index")), as_text(call.get("id")), as_text(function.get("name")), text)


def _usage(usage: JsonObject) -> Usage | None:
    if not usage:
        return None
    prompt, completion = (
        as_object(usage.get("prompt_tokens_details")),
        as_object(usage.get("completion_tokens_details")),
    )
    return Usage(
        prompt_tokens=as_count(usage.get("prompt_tokens")) or 0,
        # oMLX puts it beside the other counts.
        cached_tokens=as_count(prompt.get("cached_tokens")) or as_count(usage.get("cached_tokens")) or 0,
        completion_tokens=as_count(usage.get("completion_tokens")) or 0,
        reasoning_tokens=as_count(completion.get("reasoning_tokens")) or 0,
    )


def _timings(timings: JsonObject) -> Timings | None:
    """Read llama-server's own measurements, which are milliseconds."""
    prompt, predicted = as_number(timings.get("prompt_ms")), as_number(timings.get("predicted_ms"))
    if prompt is None or predicted is None:
        return None
    return Timings(prefill_s=prompt / 1000, decode_s=predicted / 1000)


def _prompt_progress(progress: JsonObject) -> Progress | None:
    """Read llama-server's `prompt_progress`, in tokens, the cached ones included."""
    done, total = as_count(progress.get("processed")), as_count(progress.get("total"))
    return None if done is None or total is None else Progress("prefill", done, total)


def _context_length(entry: JsonObject) -> int | None:
    """Read the window: vLLM says `max_model_len`, llama-server `meta.n_ctx_train`, OpenRouter `context_length`.

    Some builds of llama-server tell with `meta.n_ctx` what they were started with, which may be less.
    """
    meta = as_object(entry.get("meta"))
    told = (entry.get("max_model_len"), meta.get("n_ctx"), meta.get("n_ctx_train"), entry.get("context_length"))
    return next((count for count in map(as_count, told) if count), None)
