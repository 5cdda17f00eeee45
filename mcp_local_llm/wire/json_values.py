"""Reads values from JSON of unknown origin: a value of the wrong type counts as absent. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

JsonObject = Mapping[str, Any]


def as_object(value: object) -> JsonObject:
    """Return an object; anything else is an empty one."""
    return cast(JsonObject, value) if isinstance(value, dict) else {}


def as_list(value: object) -> Sequence[Any]:
    """Return a list; anything else is an empty one."""
    return cast(Sequence[Any], value) if isinstance(value, list) else ()


def as_text(value: object) -> str:
    """Return a text; a list of OpenAI's content parts is joined; anything else is empty."""
    if isinstance(value, str):
        return value
    return "".join(as_text(as_object(part).get("text")) for part in as_list(value))


def as_count(value: object) -> int | None:
    """Return a whole number from 0 up; anything else, true and false included, is None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def as_number(value: object) -> float | None:
    """Return a number from 0 up; anything else is None."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None
