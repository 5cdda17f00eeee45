"""Tells schemas whose grammar takes minutes to compile, all memory or all of the stack. Pure: knows JSON Schemas only.

llguidance checks whether any text can match what holds together, within no limit of time: the patterns of one text as
all their combinations, the remainders of a number one by one, `patternProperties` each with each. Nothing can end it.
Of a long text it makes a state for each character, and it follows references and properties by calls in calls: a stack
that overflows ends the process.
"""

import json
import math
import re
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
MAX_NAMES = 2 * 5000**2
"""The squares of the properties of all objects: three seconds. Of 30,000 in one the stack overflows."""
MAX_LEVELS = 700
"""Of JSON, along references: of 2,100 a stack of 8 MB overflows."""
MAX_CHARACTERS = 500_000
"""Of the whole schema: up to 200 MB while it is compiled."""
MAX_VISITS = 100_000
"""Of parts, each once for each property that it holds for."""

_ELSEWHERE = re.compile(r'"\$ref": "((?!#[/"])[^"]*|[^"]*%[^"]*)"')
"""A reference by an id or an anchor, or a path with escapes, which is not followed here."""
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
    written = json.dumps(schema)
    if len(written) > MAX_CHARACTERS:
        return f"it has more than {MAX_CHARACTERS:,} characters"
    if reason := _shape(schema, len(set(_ELSEWHERE.findall(written)))):
        return reason
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


def _shape(root: JsonSchema, elsewhere: int) -> str:
    """Return what is wrong with the number of its names, or with how deep parts are nested along references.

    Each of the references that are not followed may lead as deep as any other.
    """
    own, leads, names = dict[int, int](), dict[int, set[int]](), 0
    left: list[object] = [root, *(part for name in ("$defs", "definitions") for part in _values(root.get(name)))]
    while left:
        part = left.pop()
        if not isinstance(part, Mapping) or id(cast(JsonSchema, part)) in own:
            continue
        schema = cast(JsonSchema, part)
        own[id(schema)], squares, references = _own(schema)
        targets = [_referred(reference, root) for reference in references]
        leads[id(schema)] = {id(target) for target in targets if isinstance(target, Mapping)}
        left += targets
        names += squares
        if names > MAX_NAMES:
            return "objects in it have too many properties"
    levels, bound = 0, MAX_LEVELS // (1 + elsewhere)
    # Level by level, from the parts that lead nowhere; those that lead back to themselves count together.
    while levels <= bound and (ends := [part for part, further in leads.items() if not further & leads.keys()]):
        levels += max(own[part] for part in ends)
        for part in ends:
            del leads[part]
    levels += sum(own[part] for part in leads)
    return f"its references lead more than {MAX_LEVELS} levels deep" if levels > bound else ""


def _own(part: JsonSchema) -> tuple[int, int, list[str]]:
    """Return the levels of a part, the squares of the names in its objects, and its references."""
    deepest, squares, references = 1, 0, list[str]()
    left: list[tuple[object, int]] = [(part, 1)]
    while left:
        value, level = left.pop()
        deepest = max(deepest, level)
        if isinstance(value, Mapping):
            held = cast(JsonSchema, value)
            names = max(len(held), len(cast(list[object], held.get("required", ()))))
            squares += names**2
            if isinstance(reference := held.get("$ref"), str):
                references.append(reference)
            inner = [one for key, one in held.items() if key not in ("$defs", "definitions")]
        else:
            inner = cast(list[object], value)
        left += [(one, level + 1) for one in inner if isinstance(one, Mapping | list)]
    return deepest, squares, references


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
    if not isinstance(reference, str) or not f"{reference}/".startswith("#/"):
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
