"""An answer compared with its schema: what is wrong with it, and where a cut one could have gone on for ever."""

import socket
from typing import Any

import pytest

from mcp_local_llm.parsing.answer_schema import bounding_advice, schema_fault, unbounded_places

Schema = dict[str, Any]
TEXT = {"type": "string"}
SHORT = {"type": "string", "maxLength": 9}
LIST = {"type": "array", "items": SHORT}
PERSON: Schema = {"type": "object", "properties": {"name": SHORT, "tags": LIST, "note": TEXT}}

CUT: list[tuple[str, Schema, tuple[str, ...]]] = [
    ("[1, 2, ", {"type": "array"}, ("# (maxItems)",)),
    ("[1, 2, ", {"type": "array", "maxItems": 9}, ()),
    ("[1, 2, ", {}, ("# (maxItems)",)),
    ('{"a": 1, ', {"type": "object"}, ("# (maxProperties, or properties by name)",)),
    ('{"a": 1, ', {"type": "object", "maxProperties": 3}, ()),
    ('{"name": "Ad', PERSON, ()),
    ('{"na', PERSON, ()),
    ('{"note": "On and o', PERSON, ("#/properties/note (maxLength)",)),
    ('{"tags": ["a", "b', PERSON, ("#/properties/tags (maxItems)",)),
    ('{"tags": ["a", "b"], "name": "x', PERSON, ()),
    ('{"name": "[\\"{", "tags": ["]", ', PERSON, ("#/properties/tags (maxItems)",)),
    ('{"a": {"b": "', {"additionalProperties": PERSON}, ("# (maxProperties, or properties by name)",)),
    ('["x", ["y', {"prefixItems": [TEXT, LIST], "items": False}, ("#/prefixItems/1 (maxItems)",)),
    ("[1, ", {"$ref": "#/$defs/l", "$defs": {"l": LIST}}, ("#/$defs/l (maxItems)",)),
    ("[1, ", {"anyOf": [{"type": "null"}, LIST]}, ("#/anyOf/1 (maxItems)",)),
    ("[1, ", {"allOf": [{"$ref": "#/$defs/l"}], "maxItems": 2, "$defs": {"l": LIST}}, ()),
    ('"a', {"enum": ["ab", "ac"]}, ()),
    ('"2026-', {"type": "string", "format": "date"}, ()),
    ('{"kids": [{"kids": [', {"type": "object", "properties": {"kids": {"items": {"$ref": "#"}, "type": "array"}}},
     ("#/properties/kids (maxItems)",)),
    ("12", {"type": "integer"}, ()),
    ("", {"type": "array"}, ()),
]  # fmt: skip


@pytest.mark.parametrize(("text", "schema", "places"), CUT)
def test_a_cut_answer_names_what_stood_open_without_a_bound(text: str, schema: Schema, places: tuple[str, ...]) -> None:
    assert unbounded_places(text, schema)[: len(places) or None] == places


def test_the_advice_is_to_bound_what_is_endless_and_more_tokens_where_only_a_text_is_long() -> None:
    endless = bounding_advice('{"tags": ["a", ', PERSON)
    assert "#/properties/tags (maxItems)" in endless
    assert "max_tokens" not in endless
    text = bounding_advice('{"note": "On and', PERSON)
    assert "larger max_tokens" in text
    assert "#/properties/note (maxLength)" in text
    assert bounding_advice('{"name": "A', PERSON) == ""


@pytest.mark.parametrize(
    ("text", "schema", "told"),
    [
        ('{"name": "Ada"}', PERSON, ""),
        ('{"name": 5}', PERSON, "at #/name, 5 is not of type 'string'"),
        ('{"name": "A', PERSON, "it is no JSON"),
        ("", PERSON, "it is no JSON"),
        (f"{2**60}", {"const": 2**60}, ""),
        (f"{2**60}", {"const": 2**60 + 1}, f"at #, {2**60 + 1} was expected"),
        ("0.3", {"multipleOf": 0.1}, ""),
        ("0.35", {"multipleOf": 0.1}, "at #, 0.35 is not a multiple of 0.1"),
        ("1.0", {"type": "integer"}, ""),
        ("1e9999999", {"type": "number", "minimum": 0.5}, ""),
        ("1", {"$ref": "https://example.org/schema.json"}, None),
        ('"a"', {"pattern": r"^\p{L}$"}, None),
    ],
)
def test_an_answer_validates_or_its_fault_is_told(text: str, schema: Schema, told: str | None) -> None:
    assert schema_fault(text, schema) == told


def _doubled(keyword: str, last: Schema) -> Schema:
    """A schema whose every part refers to the next one twice."""
    parts = {f"a{at}": {keyword: [{"$ref": f"#/$defs/a{at + 1}"}] * 9} for at in range(30)}
    return {"$ref": "#/$defs/a0", "$defs": {**parts, "a30": last}}


ENDLESS: list[tuple[str, Schema]] = [
    ("{}", _doubled("allOf", {"type": "object"})),
    ("{}", {"$schema": "http://json-schema.org/draft-07/schema#", **_doubled("oneOf", {"type": "object"})}),
    ('"' + "a" * 60 + '"', {"anyOf": [{"pattern": "^(a|aa)+(?!a)b$"}, TEXT]}),
    ('"' + "a" * 60 + '"', {"anyOf": [{"pattern": "^([a--b]|aa)+b$"}, TEXT]}),
    ('{"' + "a" * 60 + 'b": 1}', {"additionalProperties": False, "patternProperties": {"^(a|aa)+$": True}}),
    ("[" + "{}, " * 9999 + "1]", {"uniqueItems": True}),
]


@pytest.mark.parametrize(("text", "schema"), ENDLESS)
def test_a_comparison_that_would_take_for_ever_is_given_up(text: str, schema: Schema) -> None:
    assert schema_fault(text, schema) is None


def test_a_cut_answer_to_doubled_choices_is_told_at_once() -> None:
    assert unbounded_places("[1, ", _doubled("anyOf", LIST)) == ("#/$defs/a30 (maxItems)",)


def test_usual_patterns_are_still_compared() -> None:
    slug = {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"}
    assert schema_fault('"a-slug-of-some-words"', slug) == ""
    assert schema_fault('"A slug"', slug)
    assert schema_fault(f'"{"a-long-slug-" * 99}end"', slug) == ""
    assert "does not match" in (schema_fault(f'"{"a-long-slug-" * 99}"', slug) or "")


@pytest.mark.parametrize(("size", "pattern"), [(60, "^(a|aa)+b$"), (9999, "a*a*a*b")])
def test_a_pattern_that_would_take_for_ever_is_matched_in_linear_time(size: int, pattern: str) -> None:
    assert "does not match" in (schema_fault(f'"{"a" * size}"', {"pattern": pattern}) or "")
    assert schema_fault(f'"{"a" * size}b"', {"pattern": pattern}) == ""


def test_nothing_is_fetched_for_a_reference() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        assert schema_fault("{}", {"$ref": f"http://{host}:{port}/schema.json"}) is None
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()
