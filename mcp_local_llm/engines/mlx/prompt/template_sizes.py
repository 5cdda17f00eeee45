"""How large the result of one operation of a chat template would be, told before it is computed.

A step into native code cannot be ended from outside: a text padded to a billion characters fills the memory of the
process that serves every session. Pure: knows no budget and no model.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast

ITEM = 3
"""Characters of an item at least, with a comma and a blank."""
MAX_INDENT = 64
"""Of JSON in a prompt, in characters."""

SHALLOW = frozenset(
    {"attr", "batch", "count", "d", "default", "first", "items", "last", "length", "list", "map", "random"}
    | {"reject", "rejectattr", "reverse", "select", "selectattr", "slice"}
)
"""Filters that do not look into the items of a list; all others may write them out, or compare them."""

_WIDTH = re.compile(r"\d{4,}|\*")
_NAMED = re.compile(r"\{\w+|%\(\w+\)")
_FIELD_IN_FIELD = re.compile(r":[^{}]*\{")


def shown_size(value: object, limit: int) -> int:
    """Return about how many characters `value` has as text; counting ends above `limit`.

    A list that is in another one a thousand times counts a thousand times, because it is written so often.
    """
    size, left = 0, [value]
    while left and size <= limit:
        one = left.pop()
        size += ITEM
        if isinstance(one, str | bytes):
            size += len(one)
        elif isinstance(one, int):
            size += one.bit_length() // 4
        elif isinstance(one, Mapping):
            for key, held in cast(Mapping[object, object], one).items():
                left += (key, held)
        elif isinstance(one, list | tuple | set | frozenset):
            left += cast(Sequence[object], one)
        elif isinstance(one, range):
            size += len(one)
    return size


def product_bits(operator: str, left: object, right: object) -> int:
    """Return how many bits the product or power of two whole numbers has at most; 0 for other values."""
    if not isinstance(left, int) or not isinstance(right, int):
        return 0
    if operator == "*":
        return left.bit_length() + right.bit_length()
    return left.bit_length() * max(right, 0)


def result_size(name: str, value: object, given: tuple[Any, ...], named: Mapping[str, Any], limit: int) -> int:
    """Return how large the result of a filter, or of a method, is at most; or what it goes through, if that is more.

    Args:
        name: of the filter; of a method, with a dot before it; `%` is the operator.
        value: what it is applied to; of a method, a text, number or list.
        given: its arguments.
        named: its arguments by name.
        limit: above it the size need not be right.
    """
    arguments = (*given, *named.values())
    number = max((abs(one) for one in arguments if isinstance(one, int)), default=0)
    longest = max((len(one) for one in arguments if isinstance(one, str)), default=0)
    text = value if isinstance(value, str) else ""
    method = name.startswith(".")
    read = sum(shown_size(one, limit) for one in (arguments if method or name in SHALLOW else (value, *arguments)))
    if read > limit:
        return read
    if method and not isinstance(value, str | int):
        return _length(value) * read
    match name.removeprefix("."):
        case "replace":
            old, new, *_ = (*given, named.get("old", ""), named.get("new", ""))
            return len(text) + text.count(str(old)) * len(str(new))
        case "join":
            # The method's text is the separator, and the filter's argument.
            items, between = (arguments[0], len(text)) if method and arguments else (value, longest)
            return shown_size(items, limit) + between * _length(items)
        case "indent":
            return len(text) + (text.count("\n") + 1) * max(number, longest)
        case "wordwrap" | "urlize":
            return len(text) * max(longest, 1)
        case "translate":
            return len(text) * max((shown_size(one, limit) for one in arguments), default=1)
        case "expandtabs":
            return len(text) + text.count("\t") * number
        case "format" | "format_map" | "%":
            return _formatted_size(text, arguments, limit)
        case "tojson":
            return limit + 1 if max(number, longest) > MAX_INDENT else read
        case _:
            return max(number, read)


def _formatted_size(text: str, arguments: tuple[Any, ...], limit: int) -> int:
    """Return how large a format is with its arguments; one that it names several times counts as often."""
    widths = sum(limit if one == "*" or len(one) > 9 else int(one) for one in _WIDTH.findall(text))
    if _FIELD_IN_FIELD.search(text):
        # Only here can a number among the arguments be a width.
        widths += sum(abs(one) for one in arguments if isinstance(one, int))
    used = max(Counter[str](_NAMED.findall(text)).values(), default=1)
    return len(text) + widths + used * sum(shown_size(one, limit) for one in arguments)


def _length(value: object) -> int:
    return len(cast(Sequence[object], value)) if isinstance(value, str | list | tuple | range) else 0
