"""The values that clients send for "nothing", because their forms and models fill in every field. Pure."""

from collections.abc import Mapping
from typing import Any, cast

NO_NUMBERS: Mapping[str, tuple[int, ...]] = {
    "budget_tokens": (-1,),
    "max_completion_tokens": (0, -1),
    "max_seconds": (0, -1),
    "max_thinking_tokens": (-1,),
    "max_tokens": (0, -1),
    "min_p": (-1,),
    "n": (0, -1),
    "repetition_limit": (-1,),
    "repetition_penalty": (0, -1),
    "seed": (-1,),
    "temperature": (-1,),
    "top_k": (-1,),
    "top_logprobs": (0, -1),
    "top_p": (0, -1),
}
"""Field → the numbers that count as left out there, because they cannot be meant: `temperature` 0, `seed` 0 and
`max_thinking_tokens` 0 can. In every field an empty text, object or list and null count as left out, and so they do as
items of a list; false never does."""


def filled_in(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that hold something, without the empty items of their lists."""
    lean = {name: _without_empty(value) for name, value in fields.items()}
    return {name: value for name, value in lean.items() if not (_is_empty(value) or _is_no_number(name, value))}


def _without_empty(value: object) -> object:
    if not isinstance(value, list):
        return value
    return [item for item in cast(list[object], value) if not _is_empty(item)]


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str | dict | list) and not value)


def _is_no_number(name: str, value: object) -> bool:
    none = NO_NUMBERS.get(name)
    if none is None or isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    try:
        return (isinstance(value, str) and not value.strip()) or float(value) in none
    except (ValueError, OverflowError):
        return False
