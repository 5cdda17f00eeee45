"""Reads JSON of unknown origin, and values from it: a value of the wrong type counts as absent. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic_core import from_json

JsonObject = Mapping[str, Any]

# Group 1: half of a surrogate pair, which JavaScript writes and no text can hold.
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
# Nearly every text goes without, and `_ESCAPE` takes a second for a million escapes.
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_UNESCAPED = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""These stand in strings only; halves of surrogate pairs cannot be sent unescaped."""
MAX_VALUES = 200_000
"""The most objects, lists, members and items of one JSON text; a conversation that fills a window of a million tokens
has half as many. Python makes an object of each, and checks each, while every other answer waits."""
MAX_COUNT = 2**53 - 1
"""The largest number that counts: a larger one is no exact number in JavaScript, and may be none at all in Python."""
JSON_STRING = r'"(?:[^"\\]+|\\.)*+(?:"|\\?\Z)'
"""Finds a string of JSON, with `re.DOTALL`. One that does not end takes the rest of the text: to begin anew behind each
of its quotes would take n² steps."""
_STRING_OR_VALUE = re.compile(JSON_STRING + r"|[\[{,]", re.DOTALL)
_LIMITS = {
    "recursion limit exceeded": "200 levels of objects and lists can be read",
    "number out of range": "a number may have 4,300 digits",
}


def mended_json(text: str) -> str:
    """Return the text of JSON without a byte order mark, and with U+FFFD for each half of a surrogate pair."""
    text = text.removeprefix("\ufeff")
    return _ESCAPE.sub(lambda escape: r"\ufffd" if escape[1] else escape[0], text) if _HALF.search(text) else text


def encodable(text: str) -> str:
    """Return a text that UTF-8 can hold: models and servers write halves of surrogate pairs into JSON as well."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def encodable_values(value: Any) -> Any:
    """Return JSON values whose texts UTF-8 can hold: paths and variables may have any bytes; see `encodable`."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {encodable(name): encodable_values(item) for name, item in cast(dict[str, Any], value).items()}
    return [encodable_values(item) for item in cast(list[Any], value)] if isinstance(value, list) else value


def on_one_line(text: str) -> str:
    """Return the text of JSON without what some programs take for the end of a line: JSON escapes none above U+001F."""
    return _UNESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def require_few_values(text: str, most: int = MAX_VALUES) -> None:
    """Refuse JSON of more than `most` values before it is decoded; the texts in it may be of any length.

    Raises:
        ValueError: says the limit, without a full stop.
    """
    if sum(map(text.count, "[{,")) <= most:
        return
    values = strings = 0
    for found in _STRING_OR_VALUE.finditer(text):
        if text[found.start()] == '"':
            strings += 1
        else:
            values += 1
        # Where strings stand side by side without a comma, it is no JSON.
        if values > most or strings > 2 * most + 1:
            raise ValueError(f"it has more than {most:,} values")


def read_json(text: str) -> object:
    """Decode JSON; NaN and Infinity are none.

    Raises:
        ValueError: it is no JSON, or has more than `MAX_VALUES` values; the message says why and where, without a full
            stop.
    """
    require_few_values(text)
    try:
        return cast(object, from_json(text, allow_inf_nan=False))
    except ValueError as error:
        reason = str(error)
        raise ValueError(
            next((f"{reason}; {limit}" for start, limit in _LIMITS.items() if reason.startswith(start)), reason)
        ) from error


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
    """Return a whole number from 0 to `MAX_COUNT`; anything else, true and false included, is None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT else None


def as_number(value: object) -> float | None:
    """Return a number from 0 to `MAX_COUNT`; anything else is None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_COUNT:
        return None
    return float(value)
