"""What is no JSON Schema is refused before an engine sees it, and costs nobody else's answer."""

import json
from typing import Any

import pytest

from mcp_local_llm.llm.request_schemas import MAX_DEPTH, MAX_MIXED, MAX_PARTS, SchemaCheck
from mcp_local_llm.values.chat import ChatRequest, Message, ToolSpec
from mcp_local_llm.values.errors import InvalidRequestError
from tests.wire import open_wire

Schema = dict[str, Any]
GREETING = "Hello! How can I help you today?"


def nested(levels: int) -> Schema:
    """A schema of objects inside objects."""
    schema: Schema = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


BROKEN: list[tuple[Schema, str]] = [
    ({"required": 5, "properties": {"a": {}}}, "at #/required, 5 is not of type 'array'"),
    ({"type": "object", "properties": {"a": {"type": "object", "required": True}}}, "at #/properties/a/required"),
    ({"properties": 5}, "at #/properties"),
    ({"type": "text"}, "at #/type"),
    ({"type": "array", "items": [{"type": "string"}, 7]}, "at #/items"),
    ({"$schema": "http://json-schema.org/draft-07/schema#", "enum": "abc"}, "at #/enum"),
    ({"minimum": "3"}, "at #/minimum"),
    ({"$defs": {"a": 1}}, "at #/$defs/a"),
    ({"pattern": "(a"}, "at #/pattern, '(a' is not a 'regex'"),
    ({"patternProperties": {"*": {}}}, "at #/patternProperties, '*' is not a 'regex'"),
    ({"pattern": "a\\"}, "at #/pattern"),
    ({"$schema": {}}, "its $schema, or a reference in it, cannot be read"),
    (nested(900), f"more than {MAX_DEPTH}"),
    ({"allOf": [nested(60)]}, f"more than {MAX_DEPTH}"),
    ({"properties": {f"p{at}": {} for at in range(MAX_PARTS)}}, f"more than {MAX_PARTS:,}"),
    ({"type": [{"a": at} for at in range(MAX_MIXED + 1)]}, f"more than {MAX_MIXED} items"),
    ({"$schema": "http://json-schema.org/draft-04/schema#", "enum": [1, "a"] * MAX_MIXED}, f"more than {MAX_MIXED}"),
]
SOUND: list[Schema] = [
    {},
    {"type": "object", "properties": {}},
    {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]},
    {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True},
    {"$schema": "https://example.org/unknown", "type": "object"},
    {"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}},
    {"title": "x", "x-vendor": {"anything": [1, 2]}},
    nested(40),
    {"pattern": r"^(\p{Extended_Pictographic}|\p{Emoji_Component})+$"},
    {"pattern": r"^[\w-\.]+@([\w-]+\.)+[\w-]{2,4}$"},
    {"pattern": r"(?<year>\d{4})[^]*\u{1F600}"},
    {"patternProperties": {r"^(?=.*\p{Lu}).{8,}$": {}}},
    {"enum": [f"place {at}" for at in range(2 * MAX_PARTS)]},
    {"enum": list(range(MAX_MIXED * 2))},
]


def asking(**fields: Any) -> ChatRequest:
    return ChatRequest((Message(role="user", content="Hello"),), **fields)


@pytest.mark.parametrize(("schema", "told"), BROKEN)
def test_a_broken_schema_is_refused_by_its_place(schema: Schema, told: str) -> None:
    check = SchemaCheck()
    for _ in range(2):
        with pytest.raises(InvalidRequestError) as raised:
            check.check(asking(response_schema=schema))
        assert "response_schema" in str(raised.value)
        assert told in str(raised.value)
    with pytest.raises(InvalidRequestError, match="the tool look_up") as of_tool:
        check.check(asking(tools=(ToolSpec(name="add"), ToolSpec(name="look_up", parameters=schema))))
    assert told in str(of_tool.value)


@pytest.mark.parametrize("schema", SOUND)
def test_a_sound_schema_passes(schema: Schema) -> None:
    check = SchemaCheck()
    check.check(asking(response_schema=schema, tools=(ToolSpec(name="look_up", parameters=schema),)))


@pytest.mark.slow
async def test_broken_schemas_fail_their_own_calls_and_no_other(environ: dict[str, str], era: str) -> None:
    async with open_wire(environ, era) as wire:
        long = await wire.call("chat", message="Count from 1 to 150.", thinking=False)
        await wire.progress(long, 2)
        for schema, told in [*BROKEN[:3], (nested(70), f"more than {MAX_DEPTH}")]:
            tool = {"name": "look_up", "description": "", "parameters": schema}
            for arguments in ({"response_schema": schema}, {"tools": [tool]}):
                result = (await wire.answer(await wire.call("chat", message="Hello", **arguments)))["result"]
                assert result["isError"]
                assert told in result["content"][0]["text"]
        assert (await wire.text(long)).endswith("149, 150")
        assert await wire.text(await wire.call("chat", message="Hello")) == GREETING
        assert "Traceback" not in wire.errors()


def test_the_schemas_of_all_tools_are_bounded_together() -> None:
    half: Schema = {"properties": {f"p{at}": {} for at in range(MAX_PARTS // 2)}}
    tools = tuple(ToolSpec(name=f"tool_{at}", parameters=half) for at in range(3))
    SchemaCheck().check(asking(tools=tools[:1]))
    with pytest.raises(InvalidRequestError, match="the parameters of the tool tool_1: the schemas of this request"):
        SchemaCheck().check(asking(tools=tools))


async def test_a_schema_that_takes_minutes_to_check_holds_up_neither_a_call_nor_the_exit(
    environ: dict[str, str],
) -> None:
    slow: Schema = {"type": [{"a": at} for at in range(12_000)]}
    async with open_wire(environ) as wire:
        result = (await wire.answer(await wire.call("chat", message="Hello", response_schema=slow)))["result"]
        assert result["isError"]
        assert "Shorten it" in result["content"][0]["text"]
        assert await wire.text(await wire.call("chat", message="Hello")) == GREETING
        await wire.close_stdin()
        assert await wire.ended() == 0


async def test_a_pattern_of_javascript_constrains_an_answer_and_refuses_no_tool(environ: dict[str, str]) -> None:
    pattern = r"^\p{Lu}\p{Ll}{2,9}$"
    tool = {"name": "greet", "parameters": {"type": "object", "properties": {"emoji": {"pattern": r"^\p{Emoji}+$"}}}}
    async with open_wire(environ) as wire:
        asked = await wire.call("chat", message="Hello", response_schema={"type": "string", "pattern": pattern})
        word = json.loads(await wire.text(asked))
        assert word.isalpha()
        assert word.istitle()
        assert await wire.text(await wire.call("chat", message="Hello", tools=[tool])) == GREETING
