"""What is taken out of a schema because it says nothing, and what is refused because it can't be kept exactly."""

import json
from typing import Any

import pytest

from mcp_local_llm.engines.mlx.steer.grammar_errors import in_plain_words
from mcp_local_llm.engines.mlx.steer.json_schema import simplified, unsupported

Schema = dict[str, Any]
ANY_NAME = {"type": "string"}
LARGE = 1796325471029384705

SAYS_NOTHING: list[tuple[Schema, Schema]] = [
    ({"type": "object", "propertyNames": ANY_NAME, "additionalProperties": {"type": "number"}},
     {"type": "object", "additionalProperties": {"type": "number"}}),
    ({"propertyNames": True}, {}),
    ({"propertyNames": {}}, {}),
    ({"propertyNames": {"type": ["string", "null"], "title": "x", "minLength": 0}}, {}),
    ({"uniqueItems": False}, {}),
    ({"uniqueItems": True, "maxItems": 1}, {"maxItems": 1}),
    ({"unevaluatedProperties": True, "unevaluatedItems": {}}, {}),
    ({"properties": {"a": {}}, "unevaluatedProperties": False},
     {"properties": {"a": {}}, "additionalProperties": False}),
    ({"dependentRequired": {}, "dependentSchemas": {}, "dependencies": {}}, {}),
    ({"if": {"type": "null"}}, {}),
    ({"then": {"type": "null"}, "else": {}}, {}),
    ({"contains": {"type": "null"}, "minContains": 0}, {}),
    ({"minContains": 2, "maxContains": 3}, {}),
    ({"not": False}, {}),
    ({"$defs": {"a": {"items": {"anyOf": [{"propertyNames": ANY_NAME}]}}}},
     {"$defs": {"a": {"items": {"anyOf": [{}]}}}}),
    ({"propertyNames": {"type": "string", "enum": ["a", "b"]}, "additionalProperties": ANY_NAME, "required": ["a"]},
     {"properties": {"a": ANY_NAME, "b": ANY_NAME}, "additionalProperties": False, "required": ["a"]}),
]  # fmt: skip
KEPT: list[Schema] = [
    {"propertyNames": {"pattern": "^a"}},
    {"propertyNames": {"minLength": 1}},
    {"propertyNames": {"type": "number"}},
    {"propertyNames": False},
    {"propertyNames": {"enum": ["a"]}, "patternProperties": {"^a": {}}},
    {"uniqueItems": True},
    {"contains": {}},
    {"contains": {}, "minContains": 0, "maxContains": 1},
    {"dependentRequired": {"a": ["b"]}},
    {"if": {}, "then": {"type": "null"}},
    {"not": {}},
    {"allOf": [{}], "unevaluatedProperties": False},
    {"properties": {"propertyNames": ANY_NAME, "not": {"type": "null"}}},
]


@pytest.mark.parametrize(("schema", "simple"), SAYS_NOTHING)
def test_keywords_that_say_nothing_are_dropped(schema: Schema, simple: Schema) -> None:
    before = json.dumps(schema)
    assert simplified(schema) == simple
    assert unsupported(simplified(schema)) == []
    assert json.dumps(schema) == before


@pytest.mark.parametrize("schema", KEPT)
def test_keywords_that_say_something_stay(schema: Schema) -> None:
    assert simplified(schema) == schema


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"enum": [LARGE, LARGE + 1]}, "#/enum"),
        ({"const": LARGE}, "#/const"),
        ({"const": {"ids": [1, {"id": -LARGE}]}}, "#/const"),
        ({"type": "integer", "minimum": 2**53 + 1}, "#/minimum"),
        ({"type": "integer", "maximum": 2**63 - 1}, "#/maximum"),
        ({"exclusiveMinimum": -(2**63)}, "#/exclusiveMinimum"),
        ({"exclusiveMaximum": 10**400}, "#/exclusiveMaximum"),
        ({"multipleOf": 2**60}, "#/multipleOf"),
        ({"maximum": 1e17}, "#/maximum"),
        ({"items": {"properties": {"id": {"enum": [LARGE]}}}}, "#/items/properties/id/enum"),
    ],
)
def test_integers_that_the_grammar_would_round_are_refused_by_name(schema: Schema, place: str) -> None:
    (told,) = unsupported(schema)
    assert told.startswith(f"{place} ")
    assert "2^53" in told


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": [2**53, -(2**53), 0.5, True, None, str(LARGE)]},
        {"type": "integer", "minimum": -(2**53) + 1, "maximum": 2**53 - 1},
        {"default": LARGE, "examples": [LARGE], "properties": {"const": {"type": "integer"}}},
        {"maximum": 1e-300},
    ],
)
def test_numbers_that_are_exact_and_numbers_that_bind_nothing_pass(schema: Schema) -> None:
    assert unsupported(schema) == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("NoExtensionBias\n<state>\nTokens: ⟦⟧\nStop: NoExtensionBias\n</state>", "nothing can satisfy it"),
        ("LexerTooComplex", "it is too complex"),
        ("Too many items (limit 50000; mask); try avoiding single-byte/short lexemes", "it is too complex"),
        ("ParserTooComplex: fuel", "it is too complex"),
        ("Stop: InternalError", "it is beyond what can be enforced"),
        ("", "it is beyond what can be enforced"),
        ('at 1(8): failed to compile JSON schema: Unknown format: colour\n   1 | start: %json {"limit"',
         "the format 'colour' is not known"),
    ],
)  # fmt: skip
def test_the_library_s_own_words_are_not_passed_on(said: str, told: str) -> None:
    assert in_plain_words(said) == told
