"""A schema whose grammar nobody could wait for, or that would end the process, fails its own request alone, at once."""

from typing import Any

import pytest

from mcp_local_llm.engines.mlx.steer.schema_cost import excess
from tests.sharing.sessions import resident_megabytes
from tests.wire import open_wire

Schema = dict[str, Any]


def text(pattern: str, **more: Any) -> Schema:
    return {"type": "string", "pattern": pattern, **more}


def chosen(levels: int) -> Schema:
    """A pattern beside a choice of which one is a pattern beside a choice, and so on."""
    more = {"anyOf": [chosen(levels - 1), {"type": "string"}]} if levels else {}
    return text(f".*a.{{{levels}}}b.*", **more)


def linked(levels: int, by: str = "#/$defs/a{}") -> Schema:
    """A list in a list in a list, each behind a reference."""
    parts = {f"a{at}": {"type": "array", "items": {"$ref": by.format(at + 1)}} for at in range(levels)}
    return {"$ref": by.format(0), "$defs": {**parts, f"a{levels}": {"type": "integer"}}}


LAST = 24
FACTORS = (2, 3, 5, 7, 11, 13, 17, 19)
CHAIN = {f"a{at}": {"$ref": f"#/$defs/a{at + 1}", "pattern": f".*a.{{{at + 1}}}b.*"} for at in range(LAST)}
COSTLY: dict[str, tuple[Schema, str]] = {
    "allOf": ({"allOf": [text(f".*a.{{{at}}}b.*") for at in range(LAST)]}, "too many patterns"),
    "$ref": ({"$ref": "#/$defs/a0", "$defs": {**CHAIN, f"a{LAST}": {"type": "string"}}}, "too many patterns"),
    "anyOf": (chosen(LAST), "too many patterns"),
    "objects": (
        {"allOf": [{"type": "object", "properties": {"a": text(f".*a.{{{at}}}b.*")}} for at in range(LAST)]},
        "too many patterns",
    ),
    "multipleOf": ({"type": "integer", "multipleOf": 99_999_989}, "multipleOf"),
    "multiples": ({"allOf": [{"type": "integer", "multipleOf": at} for at in FACTORS]}, "them hold"),
    "characters": ({"const": "lorem ipsum " * 50_000}, "500,000 characters"),
    "references": (linked(3000), "levels deep"),
    "escapes": (linked(1000, by="#/%24defs/a{}"), "levels deep"),
    "names": ({"type": "object", "properties": {f"p{at}": True for at in range(30_000)}}, "too many properties"),
    "keys": ({"enum": [{f"p{at}": 1 for at in range(30_000)}]}, "too many properties"),
    "patternProperties": (
        {"type": "object", "patternProperties": {f"^x{at}_.*$": {"type": "integer"} for at in range(1000)}},
        "too many patternProperties",
    ),
}
UNIONS: Schema = {
    "anyOf": [
        {"type": "object", "properties": {f"id{at}": text(f"^[a-z]{{{at + 1}}}$"), "kind": {"const": f"k{at}"}}}
        for at in range(50)
    ]
}
TREE: Schema = {
    f"n{at}": {"type": "object", "properties": {"k": {"const": at}, "c": {"anyOf": [{"$ref": f"#/$defs/n{to}"}]}}}
    for at, to in enumerate([*range(1, 60), 0])
}
USUAL: list[Schema] = [
    linked(200),
    {"$ref": "#/$defs/n0", "$defs": TREE},
    {"type": "object", "properties": {f"p{at}": {"type": "string"} for at in range(3000)}},
    {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#there"}, "c": {"$anchor": "there"}}},
    {"type": "integer", "multipleOf": 86_400_000},
    {"type": "number", "multipleOf": 0.001},
    {"allOf": [text("[a-z]"), text("[A-Z]"), text("[0-9]"), text("[^a-zA-Z0-9]"), {"minLength": 12}]},
    {"anyOf": [text(f"^p{at}") for at in range(100)]},
    {"$ref": "#/$defs/all", "$defs": {"all": {"allOf": [UNIONS, {"type": "object"}]}}},
    {"type": "object", "patternProperties": {f"^x{at}_.*$": {"type": "integer"} for at in range(50)}},
]


@pytest.mark.parametrize("schema", USUAL)
def test_a_usual_schema_is_none_of_them(schema: Schema) -> None:
    assert excess(schema) == ""


async def test_a_schema_that_compiles_for_ever_fails_its_own_call_alone(environ: dict[str, str]) -> None:
    async with open_wire(environ) as wire:
        long = await wire.call("chat", message="Count from 1 to 150.", thinking=False)
        await wire.progress(long, 2)
        for schema, told in COSTLY.values():
            refused = (await wire.answer(await wire.call("chat", message="Hello", response_schema=schema)))["result"]
            assert refused["isError"]
            assert "response_schema cannot be enforced" in refused["content"][0]["text"]
            assert told in refused["content"][0]["text"]
        # Of a tool's schema the rest stays in force.
        schema, told = COSTLY["objects"]
        tool = {"name": "look", "description": "", "parameters": schema}
        answered = (await wire.answer(await wire.call("chat", message="Hello", tools=[tool])))["result"]
        assert not answered.get("isError")
        assert told in str(answered["_meta"])
        assert (await wire.text(long)).endswith("149, 150")


async def test_long_schemas_leave_no_memory_behind(environ: dict[str, str]) -> None:
    async with open_wire(environ) as wire:
        before = 0.0
        for number in range(4):
            schema = {"const": f"{number} {'lorem ipsum ' * 40_000}"}
            calls = [await wire.call("chat", message="Hello", max_tokens=5, response_schema=schema) for _ in range(3)]
            for call in calls if number else calls[:1]:
                assert not (await wire.answer(call))["result"].get("isError")
            # Once it is answered, what the one before it left is given back.
            await wire.text(await wire.call("chat", message="Hello"))
            before = before or resident_megabytes(wire.process.pid)
        after = resident_megabytes(wire.process.pid)
    assert after - before < 40, (before, after)
