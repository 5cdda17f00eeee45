"""Compares an answer with the JSON Schema of its request: what is wrong with it, and what let a cut one go on for ever.

Pure. It must not know engines: one answer came from a grammar, another from a server that promised something.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

Schema = Mapping[str, Any]

_MAX_SHOWN = 200
"""Characters of a validator's message."""

_DECIMAL = re.compile(r"Decimal\('([^']*)'\)")
_LARGEST = 10**30

_MAX_CHECKS = 100_000
"""Checks of one answer: about a second."""
_CHEAP = 50
"""Comparisons of two values in the time of a check."""
_STEPS_PER_CHECK = 1000
"""Steps of a regular expression in that time."""
_SLOW = 1000
"""Checks from which on a pattern is matched by an engine whose time grows with the text alone."""
_SETS = re.compile(r"\[\^?\[|&&|--|~~")
"""Written in a class of characters, that engine reads them as operations on sets."""
_REPEATED = re.compile(r"[*+|]|\{\d*,")
_REPEATED_GROUP = re.compile(r"\)[*+{]")

_CHOICES = ("allOf", "anyOf", "oneOf")
_ANY: Schema = {}
_KEYWORDS = {
    "array": {"items", "maxItems", "prefixItems"},
    "object": {"additionalProperties", "maxProperties", "patternProperties", "properties"},
    "string": {"format", "maxLength"},
}


class _TooLong(Exception):
    """The comparison takes too long."""


def schema_fault(text: str, schema: Schema) -> str | None:
    """Return why an answer does not validate; empty for one that does, None where the two cannot be compared."""
    # Imported here: the import takes a tenth of a second, and most requests have no schema.
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for
    from referencing import Registry

    try:
        value: object = json.loads(text, parse_float=_exact)
    except (ValueError, RecursionError):
        return "it is no JSON"
    try:
        exact: Any = json.loads(json.dumps(dict(schema)), parse_float=_exact, object_hook=_without_dialect)
        kind: Any = _bounded(validator_for(schema, default=Draft202012Validator))
        # Without a registry, a reference is fetched from the network.
        nothing = cast(Any, Registry)()
        error: Any = next(kind(exact, registry=nothing).iter_errors(value), None)
    except Exception:
        # A reference that leads nowhere, a pattern that Python cannot read, `_TooLong`: the library may raise anything.
        return None
    if error is None:
        return ""
    place = "/".join(["#", *(str(part) for part in error.absolute_path)])
    told = _DECIMAL.sub(r"\1", error.message)
    return f"at {place}, {told[:_MAX_SHOWN]}"


def _without_dialect(schema: dict[str, Any]) -> dict[str, Any]:
    """Leave `$schema` out: a part that names a dialect would be given to another class of validators."""
    return {key: value for key, value in schema.items() if key != "$schema" or not isinstance(value, str)}


def _bounded(kind: Any) -> Any:
    """Return a class of validators that give up: a schema decides how long a comparison takes, and nothing ends it."""
    from jsonschema import validators

    extend: Any = vars(validators)["extend"]
    left = _MAX_CHECKS

    def counted(keyword: str, check: Callable[..., Any]) -> Callable[..., Any]:
        def checked(validator: Any, said: Any, value: Any, schema: Any) -> Any:
            nonlocal left
            cost = _cost(keyword, said, value, schema)
            linear = keyword == "pattern" and cost > _SLOW and not _SETS.search(said)
            left -= 1 + len(value) // _CHEAP if linear else cost
            if left < 0:
                raise _TooLong
            return _linear_pattern(validator, said, value, schema) if linear else check(validator, said, value, schema)

        return checked

    return extend(kind, {keyword: counted(keyword, check) for keyword, check in kind.VALIDATORS.items()})


def _cost(keyword: str, said: Any, value: Any, schema: Any) -> int:
    """Return about how many checks a keyword takes."""
    if keyword == "pattern" and isinstance(value, str):
        return _matching_cost([said], [value])
    if keyword in ("additionalProperties", "patternProperties") and isinstance(value, dict):
        return _matching_cost(schema.get("patternProperties", ()), cast(dict[str, object], value))
    if keyword == "uniqueItems" and isinstance(value, list):
        return 1 + len(cast(list[object], value)) ** 2 // _CHEAP
    return 1 + (len(cast(list[object], said)) // _CHEAP if isinstance(said, list) else 0)


def _linear_pattern(validator: Any, pattern: str, text: str, schema: Any) -> Iterator[Any]:
    """Match a pattern whose repetitions share a text in many ways, by Rust's engine, which never goes back.

    Raises:
        pydantic_core.SchemaError: the pattern looks around or refers back.
    """
    from jsonschema import ValidationError
    from pydantic_core import SchemaValidator, core_schema

    engine = SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    if not engine.isinstance_python(text):
        yield ValidationError(f"{text[:40]!r} … does not match {pattern!r}")


def _matching_cost(patterns: Iterable[str], texts: Iterable[str]) -> int:
    """Return about how many checks it takes Python to match texts: it tries each way in which repetitions share one."""
    longest, cost = max(map(len, texts), default=0), 1
    for pattern in patterns:
        repeated = len(_REPEATED.findall(pattern))
        ways = 2**longest if _REPEATED_GROUP.search(pattern) and repeated > 1 else longest ** (1 + repeated)
        cost += ways // _STEPS_PER_CHECK
    return cost


def _exact(digits: str) -> Decimal | int:
    """Read a number with a point as it is written: 0.3 is a multiple of 0.1 only so."""
    number = Decimal(digits)
    return int(number) if -_LARGEST < number < _LARGEST and number == number.to_integral_value() else number


def bounding_advice(text: str, schema: Schema) -> str:
    """Return what to change in the schema of an answer that was cut off; empty where more tokens would complete it."""
    places = unbounded_places(text, schema)
    if not places:
        return ""
    bounds = ", ".join(places)
    if all(place.endswith("(maxLength)") for place in places):
        return f"Call again with a larger max_tokens, or bound the text in the schema: {bounds}."
    return f"The schema lets it go on without end: bound {bounds}."


def unbounded_places(text: str, schema: Schema) -> tuple[str, ...]:
    """Return where an answer that was cut off stood open, and the keyword that would bound it there.

    Args:
        text: the beginning of an answer to `schema`, as a grammar lets it be written.
        schema: the schema, with its references.

    Returns:
        Such as `#/properties/tags (maxItems)`, the outermost first; empty where all that was open has an end.
    """
    found: list[str] = []
    places: list[tuple[str, Schema]] = [("#", schema)]
    for kind, step in _open_values(text):
        fitting = [
            (where, one)
            for place, part in places
            for where, one in _alternatives(place, part, schema)
            if _may_be(one, kind)
        ]
        keyword = _missing_bound(kind, [one for _, one in fitting])
        if keyword and fitting:
            found.append(f"{fitting[0][0]} ({keyword})")
        places = [inner for where, one in fitting for inner in _below(where, one, step)]
    return tuple(dict.fromkeys(found))


@dataclass
class _Open:
    """A list or an object that is not closed yet; `key_next`: a key of the object comes next."""

    kind: str
    step: str | int
    key_next: bool


def _open_values(text: str) -> list[tuple[str, str | int]]:
    """Return the values that the text leaves open, the outermost first: kind, and the key or index it is at."""
    stack: list[_Open] = []
    string: int | None = None
    at = 0
    while at < len(text):
        letter, top = text[at], stack[-1] if stack else None
        if string is not None:
            if letter == "\\":
                at += 1
            elif letter == '"':
                if top and top.key_next:
                    top.step = str(json.loads(text[string : at + 1]))
                string = None
        elif letter == '"':
            string = at
        elif letter in "[{":
            stack.append(_Open("array", 0, key_next=False) if letter == "[" else _Open("object", "", key_next=True))
        elif top:
            _follow(letter, top, stack)
        at += 1
    in_text = string is not None and not (stack and stack[-1].key_next)
    return [*((one.kind, one.step) for one in stack), *([("string", "")] if in_text else [])]


def _follow(letter: str, top: _Open, stack: list[_Open]) -> None:
    """Take a character of a list or an object that is outside its strings."""
    if letter in "]}":
        stack.pop()
    elif letter == ",":
        top.step = top.step + 1 if isinstance(top.step, int) else ""
        top.key_next = top.kind == "object"
    elif letter == ":":
        top.key_next = False


def _alternatives(place: str, schema: Schema, root: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield a schema and what it refers to or chooses from, each once and with its place."""
    left, seen = [(place, schema)], set[int]()
    while left:
        where, one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield where, one
        inner: list[tuple[str, Schema]] = []
        reference = one.get("$ref")
        if isinstance(reference, str) and (target := _referred(reference, root)) is not None:
            inner.append((reference, target))
        for keyword in _CHOICES:
            for number, choice in enumerate(cast(list[object], one.get(keyword, []))):
                if isinstance(choice, dict):
                    inner.append((f"{where}/{keyword}/{number}", cast(Schema, choice)))
        left += reversed(inner)


def _referred(reference: str, root: Schema) -> Schema | None:
    """Follow a reference inside the schema; None for any other."""
    target: object = root
    if not reference.startswith("#"):
        return None
    for part in reference[1:].strip("/").split("/") if len(reference) > 1 else ():
        key = part.replace("~1", "/").replace("~0", "~")
        target = cast(Schema, target).get(key) if isinstance(target, dict) else None
    return cast(Schema, target) if isinstance(target, Mapping) else None


def _may_be(schema: Schema, kind: str) -> bool:
    """Whether a part says something of values of this kind: a mere reference or choice does not."""
    if "enum" in schema or "const" in schema:
        return True
    types = schema.get("type")
    if types is None:
        return schema.keys().isdisjoint({"$ref", *_CHOICES}) or not schema.keys().isdisjoint(_KEYWORDS[kind])
    return kind in (cast(list[str], types) if isinstance(types, list) else [types])


def _missing_bound(kind: str, schemas: list[Schema]) -> str:
    """Return the keyword that would bound a value; empty where one of the parts bounds it."""
    if not schemas or any("enum" in schema or "const" in schema for schema in schemas):
        return ""
    if kind == "string":
        bounded = any("maxLength" in schema or "format" in schema for schema in schemas)
        return "" if bounded else "maxLength"
    if kind == "array":
        return "" if any("maxItems" in schema or schema.get("items") is False for schema in schemas) else "maxItems"
    return "" if any(_closed(schema) for schema in schemas) else "maxProperties, or properties by name"


def _closed(schema: Schema) -> bool:
    """Whether an object can hold so many properties only; one that lists some holds no others where it says nothing."""
    if "maxProperties" in schema:
        return True
    return not schema.get("patternProperties") and (
        schema.get("additionalProperties", not schema.get("properties")) is False
    )


def _below(place: str, schema: Schema, step: str | int) -> Iterator[tuple[str, Schema]]:
    """Yield the schema of the value at a key or an index."""
    inner: object
    if isinstance(step, str):
        named = cast(Mapping[str, Any], schema.get("properties") or {})
        where = f"properties/{step}" if step in named else "additionalProperties"
        inner = named.get(step, schema.get("additionalProperties"))
    else:
        first = cast(list[Any], schema.get("prefixItems") or [])
        where = f"prefixItems/{step}" if step < len(first) else "items"
        inner = first[step] if step < len(first) else schema.get("items")
    yield f"{place}/{where}", cast(Schema, inner) if isinstance(inner, Mapping) else _ANY
