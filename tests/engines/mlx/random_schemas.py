"""JSON Schemas from a seed: everything that can be enforced, in sizes that the built-in model fills quickly."""

import random
from typing import Any

Schema = dict[str, Any]

_NAMES = ("id", "name", "kind", "size", "a b", "größe", "$ref", "x-1", "none", "naïve_key")
_PATTERNS = ("^[a-z]{2,6}$", "^[A-Z]{2}-[0-9]{3}$", "^(red|green|blue)$", "^#[0-9a-f]{6}$")
_VALUES = ("red", "two words", 'a "quote"', "back\\slash", "ü", 0, -7, 2.5, True, False, None, [1, "x"], {"k": [None]})


def random_schema(source: random.Random, depth: int = 3) -> Schema:
    """A schema; objects and arrays nest at most `depth` deep."""
    kinds = [_integer, _string, _pattern, _enum, _const, _boolean, _nullable]
    if depth:
        kinds += [_object, _object, _object, _array, _array, _tuple, _any_of, _reference]
    return source.choice(kinds)(source, depth)


def _integer(source: random.Random, depth: int) -> Schema:
    low = source.randint(-200, 200)
    schema: Schema = {"type": "integer", "minimum": low, "maximum": low + source.randint(0, 500)}
    if source.random() < 0.3:
        schema = {"type": "integer", "exclusiveMinimum": low, "exclusiveMaximum": low + 50, "multipleOf": 5}
    return schema


def _string(source: random.Random, depth: int) -> Schema:
    low = source.randint(0, 4)
    return {"type": "string", "minLength": low, "maxLength": low + source.randint(0, 12), "description": "Some text."}


def _pattern(source: random.Random, depth: int) -> Schema:
    return {"type": "string", "pattern": source.choice(_PATTERNS)}


def _enum(source: random.Random, depth: int) -> Schema:
    return {"enum": source.sample(_VALUES, source.randint(1, 5))}


def _const(source: random.Random, depth: int) -> Schema:
    return {"const": source.choice(_VALUES), "title": "Fixed"}


def _boolean(source: random.Random, depth: int) -> Schema:
    return {"type": "boolean"}


def _nullable(source: random.Random, depth: int) -> Schema:
    return {"type": ["boolean", "null"]}


def _object(source: random.Random, depth: int) -> Schema:
    names = source.sample(_NAMES, source.randint(0, 4))
    properties = {name: random_schema(source, depth - 1) for name in names}
    required = [name for name in names if source.random() < 0.7]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _array(source: random.Random, depth: int) -> Schema:
    low = source.randint(0, 2)
    items = random_schema(source, depth - 1)
    return {"type": "array", "items": items, "minItems": low, "maxItems": low + source.randint(0, 2)}


def _tuple(source: random.Random, depth: int) -> Schema:
    places = [random_schema(source, 0) for _ in range(source.randint(1, 3))]
    return {"type": "array", "prefixItems": places, "items": False, "minItems": len(places)}


def _any_of(source: random.Random, depth: int) -> Schema:
    return {"anyOf": [random_schema(source, depth - 1) for _ in range(source.randint(1, 3))]}


def _reference(source: random.Random, depth: int) -> Schema:
    leaf = random_schema(source, 0)
    pair = {"type": "array", "items": {"$ref": "#/$defs/leaf"}, "minItems": 1, "maxItems": 2}
    # A reference starts at the root, so this one stands only there.
    return {"$defs": {"leaf": leaf}, **pair} if depth == 3 else leaf
