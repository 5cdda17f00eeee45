"""Reads tool calls from a JSON value (R19, R20, R23). It must not know markup."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from mcp_local_llm.parsing.lenient_json import read_value
from mcp_local_llm.parsing.parsed import PayloadError
from mcp_local_llm.values.chat import ToolCall


def calls_of(value: object, *, explicit: bool = True) -> Iterator[ToolCall | None]:
    """Yield a call for each entry of a list, or for the one object; None for an entry that is not a call (R20, R21)."""
    for entry in cast(list[object], value) if isinstance(value, list) else (value,):
        yield call_of(entry, explicit=explicit)


def call_of(value: object, *, explicit: bool = True) -> ToolCall | None:
    """Return the call that an object describes, or None.

    Args:
        value: any JSON value.
        explicit: markup around it says that it is a call. Without, arguments or parameters must be there (R23).
    """
    if not isinstance(value, dict):
        return None
    entry = cast(dict[str, Any], value)
    if isinstance(entry.get("function"), dict) and "name" not in entry:
        entry = cast(dict[str, Any], entry["function"])
    name = entry.get("name", entry.get("tool_name"))
    # Inkling says `args`, which counts where markup announces a call.
    names = ("arguments", "parameters", "args") if explicit else ("arguments", "parameters")
    key = next((key for key in names if key in entry), "arguments")
    if not isinstance(name, str) or not name.strip() or not (explicit or key in entry):
        return None
    arguments = arguments_of(entry.get(key))
    # A tool's own description, echoed, is not a call of it (R23).
    if arguments is None or (key == "parameters" and _is_schema(arguments)):
        return None
    return ToolCall(name=name.strip(), arguments=arguments)


def arguments_of(value: object) -> dict[str, Any] | None:
    """Return the arguments as an object; None where they are something else (R19)."""
    if isinstance(value, str):
        value = _decoded(value)
    if value is None:
        return {}
    return cast(dict[str, Any], value) if isinstance(value, dict) else None


def _decoded(serialized: str) -> object:
    """Decode a JSON string once; servers send an empty one for a call without arguments."""
    body = serialized.strip()
    if body in ("", "null"):
        return None
    try:
        value, end = read_value(body, 0)
    except PayloadError:
        return False
    return value if end == len(body) else False


def _is_schema(arguments: Mapping[str, Any]) -> bool:
    return arguments.get("type") == "object" and isinstance(arguments.get("properties"), dict)
