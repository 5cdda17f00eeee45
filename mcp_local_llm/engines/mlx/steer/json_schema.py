"""JSON Schemas for constrained output: unsupported keywords, and the grammars of answers and tool calls. Pure."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from mcp_local_llm.values.chat import ToolSpec

JsonSchema = dict[str, Any]

_FORM = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": ", "lenient": False}
"""One line, as Python's `json.dumps` and the templates of most models write it. With free whitespace a small model may
write nothing else until its tokens are used up."""

# Keywords of JSON Schema (any draft) that the grammar cannot hold an answer to. Annotations such as `title`, and
# keywords that the standard does not know, are ignored by validators too, so they may stand.
_REFUSED = frozenset(
    {
        "$dynamicRef",
        "$recursiveRef",
        "contains",
        "dependencies",
        "dependentRequired",
        "dependentSchemas",
        "disallow",
        "divisibleBy",
        "else",
        "extends",
        "if",
        "maxContains",
        "minContains",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
        "uniqueItems",
    }
)
# They describe and constrain nothing.
_ANNOTATIONS = frozenset(
    {"$comment", "$id", "$schema", "default", "deprecated", "description", "examples", "readOnly", "title", "writeOnly"}
)
_NUMBERS = frozenset({"const", "enum", "exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"})
_EXACT = 2**53
"""Integers up to here are the same in the floating point numbers that the grammar computes with."""
_COMPOSING = frozenset({"$ref", "allOf", "anyOf", "oneOf"})
_RELAXED = _REFUSED | {"format", "multipleOf", "pattern", "patternProperties"}
_SCHEMA = frozenset({"additionalItems", "additionalProperties", "items"})
_SCHEMA_LISTS = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
_SCHEMA_MAPS = frozenset({"$defs", "definitions", "patternProperties", "properties"})


def unsupported(schema: Mapping[str, Any]) -> list[str]:
    """Return the keywords that cannot be enforced, as `#/properties/tags/uniqueItems`; empty for a sound schema.

    It should have been `simplified` before.
    """
    return list(dict.fromkeys(_unsupported(schema, "#")))


def _unsupported(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    for keyword, value in schema.items():
        if keyword in _REFUSED:
            yield f"{path}/{keyword}"
        # A key may come twice in one object, and a parser keeps the last: only required ones are sure to differ.
        elif keyword == "minProperties" and isinstance(value, int) and value > len(schema.get("required", ())):
            yield f"{path}/minProperties"
        elif keyword in _NUMBERS and _has_large_integer(value):
            yield f"{path}/{keyword} (an integer beyond 2^53; write such numbers as strings)"
        for place, inner in _inner(keyword, value):
            yield from _unsupported(inner, f"{path}/{place}")


def _inner(keyword: str, value: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the schemas below a keyword, each with its place."""
    if keyword in _SCHEMA and isinstance(value, dict):
        yield keyword, cast(JsonSchema, value)
    elif keyword in _SCHEMA_LISTS and isinstance(value, list):
        yield from _schemas((f"{keyword}/{at}", item) for at, item in enumerate(cast(list[object], value)))
    elif keyword in _SCHEMA_MAPS and isinstance(value, dict):
        yield from _schemas((f"{keyword}/{name}", item) for name, item in cast(JsonSchema, value).items())


def _schemas(places: Iterable[tuple[str, object]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for place, value in places:
        if isinstance(value, dict):
            yield place, cast(JsonSchema, value)


def _has_large_integer(value: object) -> bool:
    if isinstance(value, list):
        return any(_has_large_integer(item) for item in cast(list[object], value))
    if isinstance(value, dict):
        return any(_has_large_integer(item) for item in cast(JsonSchema, value).values())
    return isinstance(value, int | float) and value == value // 1 and abs(value) > _EXACT


def simplified(schema: JsonSchema) -> JsonSchema:
    """Return an equal schema without keywords that say nothing, such as `propertyNames: {"type": "string"}`.

    Names that a schema lists in `propertyNames`, as zod's records of an enum do, become `properties`.
    """
    kept = {keyword: value for keyword, value in schema.items() if not _says_nothing(keyword, value, schema)}
    if kept.get("unevaluatedProperties") is False and _COMPOSING.isdisjoint(kept):
        kept.setdefault("additionalProperties", kept.pop("unevaluatedProperties"))
    return _mapped(_with_listed_names(kept), simplified)


def _says_nothing(keyword: str, value: object, schema: Mapping[str, Any]) -> bool:
    """Whether every value that the rest of the schema allows satisfies this keyword."""
    match keyword:
        case "propertyNames":
            return value is True or (isinstance(value, dict) and _allows_all_names(cast(JsonSchema, value)))
        case "unevaluatedItems" | "unevaluatedProperties":
            return value in (True, {})
        case "uniqueItems":
            return value is False or schema.get("maxItems", 2) < 2
        case "contains" | "maxContains" | "minContains":
            counts = "contains" in schema and "maxContains" not in schema
            return "contains" not in schema or (counts and schema.get("minContains") == 0)
        case "dependencies" | "dependentRequired" | "dependentSchemas" | "disallow" | "extends":
            return value in ({}, [])
        case "if":
            return "then" not in schema and "else" not in schema
        case "then" | "else":
            return "if" not in schema or value in (True, {})
        case "not":
            return value is False
        case _:
            return False


def _allows_all_names(schema: Mapping[str, Any]) -> bool:
    """Whether any text satisfies a schema: besides annotations it says at most that a text is a text."""
    types = schema.get("type", "string")
    said = schema.keys() - _ANNOTATIONS - {"type"} - ({"minLength"} if schema.get("minLength") == 0 else set[str]())
    return not said and "string" in (cast(list[str], types) if isinstance(types, list) else [types])


def _with_listed_names(schema: JsonSchema) -> JsonSchema:
    names: object = schema.get("propertyNames")
    listed: object = cast(JsonSchema, names).get("enum") if isinstance(names, dict) else None
    others = schema.keys() & (_COMPOSING | {"patternProperties"})
    if not isinstance(listed, list) or cast(JsonSchema, names).keys() - _ANNOTATIONS - {"type", "enum"} or others:
        return schema
    known, rest = schema.get("properties", {}), schema.get("additionalProperties", True)
    named = {name: known.get(name, rest) for name in cast(list[object], listed) if isinstance(name, str)}
    return {**_without(schema, "propertyNames"), "properties": named, "additionalProperties": False}


def _without(schema: Mapping[str, Any], keyword: str) -> JsonSchema:
    return {name: value for name, value in schema.items() if name != keyword}


def closed(schema: JsonSchema) -> JsonSchema:
    """Return `schema` with every object that lists properties held to those, where it says nothing of others.

    What validates against it validates against `schema`. A small model that may invent properties does so until its
    tokens are used up. Schemas that put objects together from parts (`allOf`, references or choices beside
    properties) stay as they are: a part must not forbid the others.
    """
    return schema if _composed(schema) else _closed(schema)


def _composed(schema: Mapping[str, Any]) -> bool:
    if "allOf" in schema or ("properties" in schema and not schema.keys().isdisjoint({"$ref", "anyOf", "oneOf"})):
        return True
    return any(_composed(inner) for keyword, value in schema.items() for _, inner in _inner(keyword, value))


def _mapped(schema: JsonSchema, change: Callable[[JsonSchema], JsonSchema]) -> JsonSchema:
    """Return a schema with the schemas directly below it changed."""
    out: JsonSchema = {}
    for keyword, value in schema.items():
        if keyword in _SCHEMA and isinstance(value, dict):
            out[keyword] = change(cast(JsonSchema, value))
        elif keyword in _SCHEMA_LISTS and isinstance(value, list):
            items = cast(list[Any], value)
            out[keyword] = [change(item) if isinstance(item, dict) else item for item in items]
        elif keyword in _SCHEMA_MAPS and isinstance(value, dict):
            named = cast(JsonSchema, value)
            out[keyword] = {name: change(item) if isinstance(item, dict) else item for name, item in named.items()}
        else:
            out[keyword] = value
    return out


def _closed(schema: JsonSchema) -> JsonSchema:
    out = _mapped(schema, _closed)
    listed = out.get("properties")
    if listed and "patternProperties" not in out and set(out.get("required", ())) <= set(listed):
        out.setdefault("additionalProperties", False)
    return out


def answer_grammar(schema: JsonSchema) -> str:
    """Return llguidance's grammar of JSON that validates against `schema`."""
    return f"start: {_json(closed(schema))}\n"


def call_grammar(tools: Sequence[tuple[str, JsonSchema]]) -> str:
    """Return llguidance's grammar of one call, `{"name": ..., "arguments": {...}}` and a newline, of any of `tools`.

    The newline belongs to it: many vocabularies have a token for `"}}` with a newline, which a model writes if
    it may.

    Args:
        tools: name and schema of the arguments. Each schema stays a document of its own, so that its references work.
    """
    rules = [f'start: ({" | ".join(f"call_{at}" for at in range(len(tools)))}) "\\n"']
    for at, (name, schema) in enumerate(tools):
        head = json.dumps(f'{{"name": {json.dumps(name, ensure_ascii=False)}, "arguments": ', ensure_ascii=False)
        rules.append(f'call_{at}: {head} {_json({"type": "object", **closed(schema)})} "}}"')
    return "\n".join(rules) + "\n"


def relaxed(schema: JsonSchema) -> JsonSchema:
    """Return a schema without the keywords that cannot be enforced, or not always; its structure stays."""
    kept = {
        "anyOf" if keyword == "oneOf" and "anyOf" not in schema else keyword: value
        for keyword, value in schema.items()
        if keyword not in _RELAXED and not (keyword in _NUMBERS and _has_large_integer(value))
    }
    if kept.get("minProperties", 0) > len(kept.get("required", ())):
        del kept["minProperties"]
    return _mapped(kept, relaxed)


def argument_schema(tool: ToolSpec) -> JsonSchema:
    """Return the schema of a tool's arguments; one that lists no properties takes none, unless it says more."""
    schema = simplified(tool.parameters)
    if schema.get("properties") == {} and schema.keys().isdisjoint(_COMPOSING | {"patternProperties"}):
        schema.setdefault("additionalProperties", False)
    return schema


def _json(schema: JsonSchema) -> str:
    return f"%json {json.dumps({**schema, 'x-guidance': _FORM})}"
