"""What an agent reads before it calls anything: names, hints, schemas, texts."""

from typing import Any, cast

import pytest
from mcp import Client
from mcp_types import Tool

ORDER = ["chat", "set_model", "quick_test", "list_models", "status", "draft"]
CLIENT_LIMIT_BYTES = 2048


async def tools_of(client: Client) -> dict[str, Tool]:
    return {tool.name: tool for tool in (await client.list_tools()).tools}


async def test_six_tools_are_listed_in_their_order_whatever_is_loaded(client: Client) -> None:
    before = await client.list_tools()
    await client.call_tool("quick_test", {"test": "hello"})
    after = await client.list_tools()
    assert [tool.name for tool in before.tools] == ORDER
    assert after.tools == before.tools


async def test_tools_that_change_something_say_so(client: Client) -> None:
    for name, tool in (await tools_of(client)).items():
        hints = tool.annotations
        assert hints is not None
        assert hints.read_only_hint is (name not in ("set_model", "draft"))
        assert hints.destructive_hint is (name == "draft")
        assert hints.open_world_hint is (name == "set_model")
        assert hints.idempotent_hint is (True if name == "set_model" else None)
        assert tool.title


async def test_chat_alone_is_always_loaded_and_may_answer_at_length(client: Client) -> None:
    tools = await tools_of(client)
    assert tools["chat"].meta == {"anthropic/alwaysLoad": True, "anthropic/maxResultSizeChars": 300_000}
    for name in ORDER[1:]:
        assert list(tools[name].meta or {}) == ["anthropic/searchHint"], name


async def test_input_schemas_forbid_unknown_arguments_and_carry_no_titles(client: Client) -> None:
    for name, tool in (await tools_of(client)).items():
        assert tool.input_schema["type"] == "object", name
        assert tool.input_schema["additionalProperties"] is False, name
        assert titles(tool.input_schema) == [], name


async def test_only_the_structured_tools_publish_an_output_schema(client: Client) -> None:
    tools = await tools_of(client)
    assert tools["chat"].output_schema is tools["draft"].output_schema is None
    for name in ORDER[1:-1]:
        schema = tools[name].output_schema
        assert schema is not None, name
        assert schema["type"] == "object", name
        assert titles(schema) == [], name


async def test_every_argument_is_described(client: Client) -> None:
    for name, tool in (await tools_of(client)).items():
        properties = cast(dict[str, Any], tool.input_schema["properties"])
        assert [key for key, value in properties.items() if not value.get("description")] == [], name


async def test_ranges_stand_in_the_schema(client: Client) -> None:
    properties = (await tools_of(client))["chat"].input_schema["properties"]
    number = next(choice for choice in properties["max_tokens"]["anyOf"] if choice["type"] == "integer")
    assert (number["minimum"], number["maximum"]) == (1, 131_072)
    number = next(choice for choice in properties["temperature"]["anyOf"] if choice["type"] == "number")
    assert (number["minimum"], number["maximum"]) == (0.0, 2.0)


async def test_texts_stay_below_what_clients_cut_off(client: Client) -> None:
    texts = {name: tool.description or "" for name, tool in (await tools_of(client)).items()}
    texts["instructions"] = client.instructions or ""
    for name, text in texts.items():
        assert 0 < len(text.encode()) < CLIENT_LIMIT_BYTES, name


async def test_instructions_say_when_to_delegate_and_when_not_to(client: Client) -> None:
    instructions = client.instructions or ""
    assert "\nFiles: name them in `files`" in instructions
    assert "\nDo not delegate" in instructions


@pytest.mark.parametrize(("tool", "most"), [("chat", 6 * 1024), ("draft", 4 * 1024)])
async def test_what_an_agent_reads_of_a_tool_stays_small(client: Client, tool: str, most: int) -> None:
    declared = (await tools_of(client))[tool].model_dump_json(exclude_none=True, by_alias=True)
    assert len(declared.encode()) < most


async def test_the_server_says_who_it_is(client: Client) -> None:
    info = client.server_info
    assert info is not None
    assert (info.name, info.title) == ("local-llm", "Local LLM")
    assert info.version
    # Icons would be stamped into every result of the newer era.
    assert not info.icons


def titles(node: object, *, names: bool = False) -> list[str]:
    """Every schema keyword `title`; below "properties" and "$defs" the keys are names, not keywords."""
    if isinstance(node, list):
        return [title for item in cast(list[object], node) for title in titles(item)]
    if not isinstance(node, dict):
        return []
    found: list[str] = []
    for key, value in cast(dict[str, object], node).items():
        if key == "title" and not names:
            found.append(str(value))
        found += titles(value, names=not names and key in ("properties", "$defs"))
    return found
