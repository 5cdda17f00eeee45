"""The verbs as lines of JSON, one value a line, between the sessions of one user. Pure.

One connection is one verb. The session sends one line; the lease owner answers with these, in this order:

    {"protocol": 2, "version": "0.2.0", "pid": 4711}     at once
    {"progress": {...}}   {"chunk": {...}}   {"beat": 1}   any number; a beat where nothing else came for a while
    {"result": ...}  or  {"error": {"name": "...", "message": "...", "candidates": [...]}}   exactly one, then the end
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from mcp_local_llm.llm.llm import Caller
from mcp_local_llm.values import errors
from mcp_local_llm.values.chat import ChatChunk, ChatRequest, ChatResult
from mcp_local_llm.values.errors import AmbiguousModelError, BackendProtocolError, HolderGoneError, LocalLLMError
from mcp_local_llm.values.progress import Progress
from mcp_local_llm.values.results import Counts, Download, ModelTable, QuickTest, QuickTestName, Status, Switch

PROTOCOL = 2
"""Grows when an older reader could misunderstand a line. Protocol 1 was HTTP, spoken by version 0.1."""
MAX_LINE = 32 * 2**20
"""Bytes of one line; a conversation that fills a window of a million tokens takes about 5 MB."""
BEAT_S = 2.0
"""Longest time between two lines of the lease owner."""

Line = dict[str, Any]


@dataclass(frozen=True)
class Verb:
    """One verb on the socket.

    Attributes:
        arguments: name → type of each argument.
        result: type of its result.
        reports: whether it takes time and reports progress.
        takes_lease: whether a session takes a free lease for it.
        at_once: whether the lease owner answers it without waiting for anything, so that silence soon means trouble.
    """

    arguments: Mapping[str, Any]
    result: Any
    reports: bool = False
    takes_lease: bool = False
    at_once: bool = False


_MAYBE_NAME = str | None
_NAMES = tuple[str, ...]

VERBS: Mapping[str, Verb] = {
    "chat": Verb(
        {"request": ChatRequest, "model": _MAYBE_NAME, "caller": Caller}, ChatResult, reports=True, takes_lease=True
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
"""Every verb; `drain` is for lease owners alone, and no door has it."""


def write_line(value: Mapping[str, Any]) -> bytes:
    """Encode one line. ASCII only, so that half a surrogate pair, which a model may write, survives."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def read_line(line: bytes) -> Line:
    """Decode one line.

    Raises:
        BackendProtocolError: it is no JSON object.
    """
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise BackendProtocolError(f"The process that holds the model sent {line[:100]!r}, which is no line of ours.")
    return cast(Line, value)


def write_value(kind: Any, value: object) -> Any:
    """Turn a value of this type into JSON values."""
    return _adapter(kind).dump_python(value, mode="json")


def read_value(kind: Any, value: object) -> Any:
    """Turn JSON values into a value of this type; members that a newer version added are passed over.

    Raises:
        BackendProtocolError: it is no such value.
    """
    try:
        return _adapter(kind).validate_python(value, extra="ignore")
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise BackendProtocolError(
            f"A line between two sessions does not hold what it should: {where or 'value'}: {problem['msg']}. "
            "Start both anew, so that they run the same version."
        ) from error


def write_arguments(verb: str, arguments: Mapping[str, object]) -> Line:
    """Turn the arguments of a verb into JSON values."""
    kinds = VERBS[verb].arguments
    return {name: write_value(kinds[name], value) for name, value in arguments.items()}


def read_arguments(verb: str, arguments: object) -> dict[str, Any]:
    """Turn JSON values into the arguments of a verb.

    Raises:
        BackendProtocolError: one is missing or of another type.
    """
    given = cast(Line, arguments) if isinstance(arguments, dict) else {}
    return {name: read_value(kind, given.get(name)) for name, kind in VERBS[verb].arguments.items()}


def write_progress(progress: Progress) -> Line:
    """Write a step of progress."""
    return {"progress": asdict(progress)}


def read_progress(value: object) -> Progress:
    """Read a step of progress. Raises as `read_value`."""
    return cast(Progress, read_value(Progress, value))


def write_chunk(chunk: ChatChunk) -> Line:
    """Write text that became certain, and the name of the model."""
    return {"chunk": {"text": chunk.text, "reasoning": chunk.reasoning, "model": chunk.model}}


def read_chunk(value: object) -> ChatChunk:
    """Read what `write_chunk` wrote. Raises as `read_value`."""
    return cast(ChatChunk, read_value(ChatChunk, value))


def write_error(error: LocalLLMError) -> Line:
    """Write an error by its class's name."""
    told: Line = {"name": type(error).__name__, "message": str(error)}
    if isinstance(error, AmbiguousModelError):
        told["candidates"] = list(error.candidates)
    return {"error": told}


def read_error(value: object) -> LocalLLMError:
    """Rebuild an error; one that this version does not know is a `BackendProtocolError` with the same words."""
    told = cast(Line, value) if isinstance(value, dict) else {}
    name, message = str(told.get("name")), str(told.get("message"))
    kind = getattr(errors, name, None)
    if not isinstance(kind, type) or not issubclass(kind, LocalLLMError):
        return BackendProtocolError(message)
    if kind is HolderGoneError:
        return HolderGoneError(message, leaving=True)
    if kind is AmbiguousModelError:
        return AmbiguousModelError(message, read_value(tuple[str, ...], told.get("candidates", [])))
    return kind(message)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
