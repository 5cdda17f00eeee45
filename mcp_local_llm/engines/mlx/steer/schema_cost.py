"""Tells schemas whose grammar would take minutes to compile, or all memory. Pure: knows JSON Schemas only.

llguidance checks whether any text can match what holds together, within no limit of time: the patterns of one text as
all their combinations, the remainders of a number one by one, `patternProperties` each with each. Nothing can end it.
Of a long text it makes a state for each character.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, cast

JsonSchema = Mapping[str, Any]

MAX_COMBINATIONS = 2**12
"""Of patterns and formats that may hold for one text: half a second."""
MAX_REMAINDERS = 100_000
"""Of `multipleOf`, without zeros at the end: half a second to one."""
MAX_COMPARISONS = 200**3
"""Of `patternProperties`: a second."""
MAX_CHARACTERS = 500_000
"""Of the whole schema: up to 200 MB while it is compiled."""
MAX_VISITS = 100_000
"""Of parts, each once for each property that it holds for."""

_OTHERS = "*"
"""Stands for the name of a value whose property is not listed, and for an item."""
_IN_PLACE = ("allOf", "anyOf", "oneOf")
_SILENT = frozenset({"$defs", "$ref", "$schema", "definitions", "description", "title", "type", *_IN_PLACE})


def excess(schema: JsonSchema) -> str:
    """Return what takes too long to compile, for the caller; empty for all other schemas.

    Parts that may hold for one value are told by its name: what is in two properties of one name counts together. So
    the number is rather too high, where a schema puts values together from parts, and never too low.
    """
    texts, numbers = defaultdict[str, set[str]](set), defaultdict[str, set[int]](set)
    comparisons, joined = 0, False
    if len(json.dumps(schema)) > MAX_CHARACTERS:
        return f"it has more than {MAX_CHARACTERS:,} characters"
    for count, (name, part) in enumerate(_parts(schema)):
        if count > MAX_VISITS:
            return "too many references lead to one part"
        texts[name] |= {str(part[keyword]) for keyword in ("pattern", "format") if keyword in part}
        if (factor := part.get("multipleOf")) is not None:
            numbers[name].add(_digits(factor))
        comparisons += len(part.get("patternProperties", ())) ** 3
        joined = joined or _joins(part)
    if sum(math.lcm(*factors) for factors in numbers.values()) > MAX_REMAINDERS:
        return "a multipleOf has too many digits, or several of them hold together"
    if joined and sum(2 ** len(patterns) for patterns in texts.values() if len(patterns) > 1) > MAX_COMBINATIONS:
        return "too many patterns or formats hold for one text"
    return "it has too many patternProperties" if comparisons > MAX_COMPARISONS else ""


def _parts(root: JsonSchema) -> Iterator[tuple[str, JsonSchema]]:
    """Yield each schema with the name of the property that it holds for, once for each name."""
    seen, left = set[tuple[str, int]](), list[tuple[str, object]]([("", root)])
    while left:
        name, part = left.pop()
        if not isinstance(part, Mapping) or (name, id(part)) in seen:
            continue
        schema = cast(JsonSchema, part)
        seen.add((name, id(schema)))
        yield name, schema
        left.append((name, _referred(schema.get("$ref"), root)))
        for keyword in _IN_PLACE:
            left += [(name, inner) for inner in _values(schema.get(keyword))]
        left += cast(JsonSchema, schema.get("properties") or {}).items()
        for keyword in ("patternProperties", "prefixItems"):
            left += [(_OTHERS, inner) for inner in _values(schema.get(keyword))]
        for keyword in ("additionalProperties", "items", "additionalItems"):
            value = schema.get(keyword)
            left += [(_OTHERS, inner) for inner in (_values(value) if isinstance(value, list) else [value])]


def _values(value: object) -> list[object]:
    held = cast(JsonSchema, value).values() if isinstance(value, Mapping) else value
    return list(cast(list[object], held or ()))


def _referred(reference: object, root: JsonSchema) -> object:
    """Return the part that a reference inside the schema leads to; None for any other."""
    target: object = root
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    for step in reference[1:].split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        target = target.get(key) if isinstance(target, Mapping) else None
    return target


def _joins(schema: JsonSchema) -> bool:
    """Whether several parts hold for one value."""
    choices = any(keyword in schema for keyword in ("anyOf", "oneOf"))
    return len(schema.get("allOf", ())) + ("$ref" in schema) + choices + bool(schema.keys() - _SILENT) > 1


def _digits(factor: float) -> int:
    """Return a number as it is written, without its point and the zeros around its digits."""
    return int("".join(map(str, Decimal(str(factor)).normalize().as_tuple().digits))) or 1
