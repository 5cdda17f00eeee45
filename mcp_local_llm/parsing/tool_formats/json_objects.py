"""Payloads that are JSON: an object or a list of objects with a name and arguments (Hermes and many others)."""

import re
from collections.abc import Callable
from typing import Any, cast

from mcp_local_llm.parsing.json_calls import calls_of
from mcp_local_llm.parsing.lenient_json import JsonVariant, read_value, skip_blank
from mcp_local_llm.parsing.tool_formats.format import Payload, Source, broken, skip_space

_FENCE = re.compile(r"(`{3,}|~{3,})\w*[ \t]*\r?\n")
# A list of anything but objects is prose, such as a footnote.
_BEGIN = re.compile(r"\{|\[\s*[{\[]")
_SURPLUS = re.compile(r"[\s}]*+")


def _as_written(value: object) -> object:
    return value


def read_json(source: Source, position: int, read: Callable[[object], object] = _as_written) -> Payload | None:
    """Read one object or list, also inside a fence (R18); `read` turns a format's own objects into the usual ones."""
    fence = _FENCE.match(source.text, position)
    start = skip_space(source.text, fence.end()) if fence else position
    if not _BEGIN.match(source.text, start):
        return None
    value, end = read_value(source.text, start, JsonVariant(closer=source.closer))
    calls = tuple(call for call in calls_of(read(value), explicit=source.explicit) if call is not None)
    end = _surplus_braces(source, end)
    if fence:
        closing = skip_space(source.text, end)
        if source.text.startswith(fence[1], closing):
            end = closing + len(fence[1])
    return Payload(calls, end)


def read_keyed_json(source: Source, position: int) -> Payload | None:
    """Read Apertus's objects, whose only key is the tool's name."""
    return read_json(source, position, _named)


def _named(value: object) -> object:
    if isinstance(value, list):
        return [_named(entry) for entry in cast(list[object], value)]
    entry = cast(dict[str, object], value) if isinstance(value, dict) else {}
    if len(entry) != 1 or "name" in entry or "function" in entry:
        return cast(object, value)
    return next({"name": name, "arguments": arguments} for name, arguments in entry.items())


def read_functools(source: Source, position: int) -> Payload | None:
    """Read Phi's list behind the word `functools`."""
    start = position + len("functools")
    return read_json(source, start) if source.text.startswith("functools[", position) else None


def _surplus_braces(source: Source, end: int) -> int:
    """Pass over closing braces that open nothing (R18), up to the closer or the end."""
    match = _SURPLUS.match(source.text, end)
    after = match.end() if match else end
    at_closer = bool(source.closer) and source.text.startswith(source.closer, after)
    return after if after == len(source.text) or at_closer else end


def read_object(source: Source, position: int) -> tuple[dict[str, Any], int]:
    """Read the bare arguments of a call whose name stands before them; a fence around them is allowed.

    Raises:
        PayloadError: there is no complete object.
    """
    start = skip_blank(source.text, position)
    fence = _FENCE.match(source.text, start)
    start = skip_space(source.text, fence.end()) if fence else start
    if not source.text.startswith("{", start):
        raise broken(source.text, start, "```json\n")
    value, end = read_value(source.text, start, JsonVariant(closer=source.closer))
    if fence:
        closing = skip_space(source.text, end)
        end = closing + len(fence[1]) if source.text.startswith(fence[1], closing) else end
    if not isinstance(value, dict):
        raise broken(source.text, start)
    return cast(dict[str, Any], value), end
