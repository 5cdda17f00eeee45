"""JSON Schemas for constrained output: unsupported keywords, and the grammars of answers and tool calls. Pure."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
_SCHEMA = frozenset({"additionalItems", "additionalProperties", "items"})
_SCHEMA_LISTS = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
_SCHEMA_MAPS = frozenset({"$defs", "definitions", "patternProperties", "properties"})


def unsupported(schema: Mapping[str, Any]) -> list[str]:
    """Return the keywords that cannot be enforced, as `#/properties/tags/uniqueItems`; empty for a sound schema."""
    return list(dict.fromkeys(_unsupported(schema, "#")))


def _unsupported(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    for keyword, value in schema.items():
        if keyword in _REFUSED:
            yield f"{path}/{keyword}"
        # A key may come twice in one object, and a parser keeps the last: only required ones are sure to differ.
        elif keyword == "minProperties" and isinstance(value, int) and value > len(schema.get("required", ())):
            yield f"{path}/minProperties"
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


def _closed(schema: JsonSchema) -> JsonSchema:
    out: JsonSchema = {}
    for keyword, value in schema.items():
        if keyword in _SCHEMA and isinstance(value, dict):
            out[keyword] = _closed(cast(JsonSchema, value))
        elif keyword in _SCHEMA_LISTS and isinstance(value, list):
            items = cast(list[Any], value)
            out[keyword] = [_closed(item) if isinstance(item, dict) else item for item in items]
        elif keyword in _SCHEMA_MAPS and isinstance(value, dict):
            named = cast(JsonSchema, value)
            out[keyword] = {name: _closed(item) if isinstance(item, dict) else item for name, item in named.items()}
        else:
            out[keyword] = value
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


def argument_schema(tool: ToolSpec, *, exact: bool) -> tuple[str, JsonSchema]:
    """Return a tool's name and the schema of its arguments; not `exact`: of any object."""
    return tool.name, dict(tool.parameters) if exact else {"type": "object"}


def _json(schema: JsonSchema) -> str:
    return f"%json {json.dumps({**schema, 'x-guidance': _FORM})}"
