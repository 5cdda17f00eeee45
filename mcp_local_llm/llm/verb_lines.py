"""The protocol between the sessions of one user: verbs as lines of JSON. Pure functions.

A connection carries one verb. The session sends one line; the lease owner answers with these lines, in this order:

    {"protocol": 2, "version": "0.2.0", "pid": 4711}     at once
    {"progress": {...}}   {"chunk": {...}}   {"beat": 1}   any number; a beat where no other line was sent for BEAT_S
    {"result": ...}  or  {"error": {"name": "...", "message": "...", "candidates": [...]}}   exactly one, the last line
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from mcp_local_llm.llm.llm import Caller
from mcp_local_llm.values import errors
from mcp_local_llm.values.call import MAX_DOOR, Call, known_id
from mcp_local_llm.values.chat import ChatChunk, ChatRequest, ChatResult, TokenCounts
from mcp_local_llm.values.errors import (
    AmbiguousModelError,
    BackendProtocolError,
    ContextLengthError,
    HolderGoneError,
    InvalidRequestError,
    LocalLLMError,
    shortened,
)
from mcp_local_llm.values.progress import Progress
from mcp_local_llm.values.results import Counts, Download, ModelTable, QuickTest, QuickTestName, Status, Switch
from mcp_local_llm.wire.json_values import MAX_VALUES, mended_json, require_few_values

PROTOCOL = 2
"""Increased when an older version could misunderstand a line. Protocol 1 was HTTP, of version 0.1."""
MAX_LINE = 32 * 2**20
"""The most bytes of one line; a conversation of a million tokens takes about 5 MB."""
MAX_LINE_VALUES = 3 * MAX_VALUES
"""The most values of a session's line: a message has three on the wire of a door, and eight on this one."""
BEAT_S = 2.0
"""The most seconds between two lines of the lease owner."""

Line = dict[str, Any]


@dataclass(frozen=True)
class Verb:
    """One verb on the socket.

    Attributes:
        arguments: name → type of each argument.
        result: type of the result.
        reports: whether the verb takes time and reports progress.
        takes_lease: whether a session takes a free lease for it.
        at_once: whether the lease owner answers it without waiting for anything, so that silence soon means trouble.
    """

    arguments: Mapping[str, Any]
    result: Any
    reports: bool = False
    takes_lease: bool = False
    at_once: bool = False


_OPTIONAL_NAME = str | None
_NAMES = tuple[str, ...]
_SIZES = tuple[int | None, int | None]

VERBS: Mapping[str, Verb] = {
    "chat": Verb(
        {"request": ChatRequest, "model": _OPTIONAL_NAME, "caller": Caller}, ChatResult, reports=True, takes_lease=True
    ),
    "count": Verb(
        {"items": tuple[ChatRequest | str, ...], "model": _OPTIONAL_NAME, "caller": Caller},
        TokenCounts,
        reports=True,
        takes_lease=True,
    ),
    "set_model": Verb({"name": str, "download": bool}, Switch, reports=True, takes_lease=True),
    "quick_test": Verb({"test": QuickTestName, "caller": Caller}, QuickTest, reports=True, takes_lease=True),
    "unload": Verb({"force": bool}, Status, reports=True),
    "download": Verb({"name": str}, Download, reports=True),
    "list_models": Verb({"caller": Caller}, ModelTable),
    "status": Verb({}, Status, at_once=True),
    "counters": Verb({}, Counts, at_once=True),
    "complete": Verb({"typed": str}, _NAMES),
    "candidates": Verb({"name": str}, _NAMES),
    "drain": Verb({}, bool, at_once=True),
}
"""Every verb; `drain` is sent between sessions only, and no door offers it."""


def write_line(value: Mapping[str, Any]) -> bytes:
    """Encode one line. ASCII only, because a model may generate half a surrogate pair, which is not valid UTF-8."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def write_call(call: Call | None) -> Line:
    """Return the members of a session's line that tell the call: the lease owner works on the same one."""
    return {"request": call.id, "door": call.door} if call else {}


def read_call(line: Line, verb: str, pid: int) -> Call:
    """Return the call of a session's line; an older session tells none."""
    door = str(line.get("door") or "session")[:MAX_DOOR]
    return Call(f"{door}, {verb} of process {pid}", known_id(line.get("request")))


def read_first(line: bytes) -> Line:
    """Decode the line of a session.

    Raises:
        BackendProtocolError: as `read_line`.
        InvalidRequestError: it has more than `MAX_LINE_VALUES` values, which would take long to check.
    """
    text = mended_json(line.decode("utf-8", "replace"))
    try:
        require_few_values(text, MAX_LINE_VALUES)
    except ValueError as error:
        raise InvalidRequestError(f"The request cannot be read: {error}. Send less in one request.") from error
    return read_line(text)


def read_line(line: bytes | str) -> Line:
    """Decode one line.

    Raises:
        BackendProtocolError: the line is not a JSON object.
    """
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise BackendProtocolError(f"The process that holds the model sent {line[:100]!r}, which is no line of ours.")
    return cast(Line, value)


def too_long() -> InvalidRequestError:
    """Return the error for a verb whose line is longer than `MAX_LINE`."""
    return InvalidRequestError(f"The request is longer than {MAX_LINE // 2**20} MiB. Send less text.")


def write_value(kind: Any, value: object) -> Any:
    """Convert a value of this type into JSON values.

    Raises:
        InvalidRequestError: objects and lists are nested deeper than pydantic writes them.
    """
    try:
        return _adapter(kind).dump_python(value, mode="json")
    except ValueError as error:
        raise InvalidRequestError(
            "More than 200 objects and lists are nested in it, which cannot be sent to the process that holds the "
            "model. Nest them less deep."
        ) from error


def read_value(kind: Any, value: object) -> Any:
    """Convert JSON values into a value of this type; fields of a newer version are ignored.

    Raises:
        BackendProtocolError: a field is missing or of another type.
    """
    try:
        return _adapter(kind).validate_python(value, extra="ignore")
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = shortened(".".join(str(part) for part in problem["loc"]))
        raise BackendProtocolError(
            f"A line between two sessions does not hold what it should: {where or 'value'}: {problem['msg']}. "
            "Start both anew, so that they run the same version."
        ) from error


def write_arguments(verb: str, arguments: Mapping[str, object]) -> Line:
    """Convert the arguments of a verb into JSON values."""
    kinds = VERBS[verb].arguments
    return {name: write_value(kinds[name], value) for name, value in arguments.items()}


def read_arguments(verb: str, arguments: object) -> dict[str, Any]:
    """Convert JSON values into the arguments of a verb.

    Raises:
        BackendProtocolError: one is missing or of another type.
    """
    given = cast(Line, arguments) if isinstance(arguments, dict) else {}
    return {name: read_value(kind, given.get(name)) for name, kind in VERBS[verb].arguments.items()}


def write_progress(progress: Progress) -> Line:
    """Return the line of a step of progress."""
    return {"progress": asdict(progress)}


def read_progress(value: object) -> Progress:
    """Read a step of progress. Raises as `read_value`."""
    return cast(Progress, read_value(Progress, value))


def write_chunk(chunk: ChatChunk) -> Line:
    """Return the line of a chunk: its text and the id of the model."""
    return {"chunk": {"text": chunk.text, "reasoning": chunk.reasoning, "model": chunk.model}}


def read_chunk(value: object) -> ChatChunk:
    """Read a chunk. Raises as `read_value`."""
    return cast(ChatChunk, read_value(ChatChunk, value))


def write_error(error: LocalLLMError) -> Line:
    """Return the line of an error, with the name of its class."""
    line: Line = {"name": type(error).__name__, "message": str(error)}
    if isinstance(error, AmbiguousModelError):
        line["candidates"] = list(error.candidates)
    if isinstance(error, ContextLengthError):
        line["sizes"] = [error.prompt_tokens, error.window]
    if error.told_by_server:
        line["told_by_server"] = True
    return {"error": line}


def read_error(value: object) -> LocalLLMError:
    """Return the error of a line; an unknown class becomes a `BackendProtocolError` with the same message."""
    line = cast(Line, value) if isinstance(value, dict) else {}
    error = _error_of(line)
    error.told_by_server = line.get("told_by_server") is True
    return error


def _error_of(line: Line) -> LocalLLMError:
    name, message = str(line.get("name")), str(line.get("message"))
    kind = getattr(errors, name, None)
    if not isinstance(kind, type) or not issubclass(kind, LocalLLMError):
        return BackendProtocolError(message)
    if kind is HolderGoneError:
        return HolderGoneError(message, leaving=True)
    if kind is AmbiguousModelError:
        return AmbiguousModelError(message, read_value(tuple[str, ...], line.get("candidates", [])))
    if kind is ContextLengthError:
        return ContextLengthError(message, *read_value(_SIZES, line.get("sizes", [None, None])))
    return kind(message)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
