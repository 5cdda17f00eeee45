"""What the door refuses, and that every refusal says what to do."""

from typing import Any

import pytest
from mcp import Client, MCPError
from mcp_types import INVALID_PARAMS

from tests.doors.mcp.answers import refusal

ARGUMENTS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("chat", {"message": "Hi", "temprature": 0.5}, ["There is no argument 'temprature'.", "temperature"]),
    ("chat", {"message": "Hi", "prompt": "Hi"}, ["There is no argument 'prompt'.", "message"]),
    ("status", {"verbose": True}, ["There is no argument 'verbose'.", "Arguments of status: none."]),
    ("chat", {}, ["The argument 'message' is missing."]),
    ("chat", {"message": "Hi", "max_tokens": -2}, ["max_tokens", "greater than or equal to 1", "got -2"]),
    ("chat", {"message": "Hi", "max_tokens": 131_073}, ["max_tokens", "less than or equal to 131072"]),
    ("chat", {"message": "Hi", "temperature": 2.1}, ["temperature", "less than or equal to 2"]),
    ("chat", {"message": "Hi", "temperature": -0.1}, ["temperature", "greater than or equal to 0"]),
    ("chat", {"message": "Hi", "top_p": -0.5}, ["top_p", "greater than 0"]),
    ("chat", {"message": "Hi", "seed": 2**32}, ["seed", "less than or equal to 4294967295"]),
    ("chat", {"message": "Hi", "stop": ["x"] * 9}, ["stop", "at most 8 items"]),
    ("chat", {"message": "Hi", "stop": ["x" * 201]}, ["stop.0", "at most 200 characters"]),
    ("chat", {"message": "Hi", "max_tokens": False}, ["max_tokens", "not true or false"]),
    ("chat", {"message": None}, ["message is empty", "tool result"]),
    ("chat", {"message": "Hi", "history": [{"role": "robot", "content": "x"}]}, ["history.0.role", "'assistant'"]),
    ("chat", {"message": "Hi", "history": [{"role": "user", "text": "x"}]}, ["history.0.text"]),
    ("chat", {"message": "Hi", "tools": [{"description": "no name"}]}, ["tools.0.name"]),
    ("chat", {"message": ""}, ["message is empty", "tool result"]),
    ("chat", {"message": "", "history": [{"role": "user", "content": "x"}]}, ["message is empty", "tool result"]),
    ("set_model", {"name": ""}, ["name", "at least 1 character"]),
    ("quick_test", {"test": "poetry"}, ["test", "'hello'", "'json'", "got 'poetry'"]),
]

MODELS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("set_model", {"name": "llama-99b"}, ["llama-99b", "list_models"]),
    ("set_model", {"name": "7"}, ["there is no number 7", "list_models"]),
    ("chat", {"message": "Hi", "model": "gpt-5"}, ["gpt-5", "list_models"]),
]


@pytest.mark.parametrize(("tool", "arguments", "words"), ARGUMENTS + MODELS)
async def test_a_refusal_names_what_is_wrong_and_what_is_allowed(
    client: Client, tool: str, arguments: dict[str, Any], words: list[str]
) -> None:
    text = await refusal(client, tool, arguments)
    assert [word for word in words if word not in text] == [], text
    assert "pydantic" not in text


async def test_a_long_wrong_value_is_not_repeated_in_full(client: Client) -> None:
    assert len(await refusal(client, "quick_test", {"test": "x" * 10_000})) < 500


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("set_model", {"name": "x" * 1_000_000}),
        ("chat", {"message": "Hi", "model": "x" * 1_000_000}),
        ("status", {"x" * 1_000_000: 1}),
        ("chat", {"message": "Hi", "history": [{"role": "user", "y" * 1_000_000: 1}]}),
        ("chat", {"message": "Hi", "history": [{"role": "z" * 10_000}] * 1000}),
        ("chat", {"message": "Hi", "temperature": "9" * 1_000_000}),
    ],
    ids=["name", "model", "argument", "field", "many", "number"],
)
async def test_a_megabyte_is_not_sent_back(client: Client, tool: str, arguments: dict[str, Any]) -> None:
    assert len(await refusal(client, tool, arguments)) < 4000


async def test_a_long_name_of_a_tool_or_prompt_is_not_sent_back(client: Client) -> None:
    with pytest.raises(MCPError) as caught:
        await client.call_tool("x" * 1_000_000)
    assert len(caught.value.error.message) < 300
    with pytest.raises(MCPError) as caught:
        await client.get_prompt("x" * 1_000_000)
    assert len(caught.value.error.message) < 300


async def test_a_prompt_longer_than_the_window_is_refused_with_the_numbers(client: Client) -> None:
    text = await refusal(client, "chat", {"message": "word " * 5000})
    assert "4096" in text


async def test_nothing_is_loaded_for_a_refused_call(client: Client) -> None:
    before = (await client.call_tool("status")).structured_content
    await refusal(client, "chat", {"message": "Hi", "max_tokens": -2})
    after = (await client.call_tool("status")).structured_content
    assert before is not None
    assert after is not None
    assert after["calls_answered"] == before["calls_answered"]


async def test_an_unknown_tool_is_an_error_of_the_protocol_with_the_known_names(client: Client) -> None:
    with pytest.raises(MCPError) as caught:
        await client.call_tool("ask", {"message": "Hi"})
    assert caught.value.error.code == INVALID_PARAMS
    assert "'ask'" in caught.value.error.message
    assert "chat, set_model, quick_test, list_models, status" in caught.value.error.message


async def test_an_unknown_prompt_is_an_error_of_the_protocol_with_the_known_names(client: Client) -> None:
    with pytest.raises(MCPError) as caught:
        await client.get_prompt("switch")
    assert caught.value.error.code == INVALID_PARAMS
    assert "switch-model" in caught.value.error.message
