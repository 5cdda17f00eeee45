"""`chat` with a schema or a thinking budget, as a client sees it."""

import json
from typing import Any

import pytest
from mcp import Client
from mcp_types import TextContent

from mcp_local_llm.doors.mcp.strict_tool import chat_result
from mcp_local_llm.values.chat import ChatResult, Timings, Usage
from tests.doors.mcp.answers import ask, numbers, texts

AGE: dict[str, Any] = {
    "type": "object",
    "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 150}},
    "required": ["age"],
}


async def test_with_a_schema_the_text_is_json_alone(client: Client) -> None:
    result = await ask(client, "Ada Lovelace was 36 years old.", response_schema=AGE)
    (text,) = texts(result)
    assert json.loads(text).keys() == {"age"}
    assert numbers(result)["schema_met"] is True


async def test_json_that_max_tokens_cut_is_said_to_be_incomplete(client: Client) -> None:
    result = await ask(client, "Hello", response_schema=AGE, thinking=False, max_tokens=2)
    *_, note = texts(result)
    assert note == (
        "[The JSON is incomplete: max_tokens was reached after 2 tokens. Call again with a larger max_tokens.]"
    )
    assert numbers(result)["schema_met"] is False


async def test_json_that_max_tokens_cut_in_an_endless_list_is_to_be_bounded(client: Client) -> None:
    schema = {"type": "array", "items": {"type": "integer"}}
    result = await ask(
        client, "Count from 1 to 150.", response_schema=schema, thinking=False, max_tokens=12, stop=["]"]
    )
    if numbers(result)["finish_reason"] == "length":
        _, note = texts(result)
        assert "# (maxItems)" in note
        assert "larger max_tokens" not in note


async def test_a_schema_that_cannot_be_enforced_is_refused_by_name(client: Client) -> None:
    asked = {"message": "Hello", "response_schema": {"type": "array", "uniqueItems": True}}
    result = await client.call_tool("chat", asked)
    assert result.is_error
    assert "#/uniqueItems" in texts(result)[0]


async def test_a_thinking_budget_is_kept_and_answered_behind(client: Client) -> None:
    result = await ask(client, "Think long about seven.", max_thinking_tokens=12)
    assert texts(result) == ["Seven is a prime number."]
    assert numbers(result)["usage"]["reasoning_tokens"] == 12


@pytest.mark.parametrize("budget", [-2, 131_073])
async def test_a_budget_out_of_range_is_refused(client: Client, budget: int) -> None:
    result = await client.call_tool("chat", {"message": "Hello", "max_thinking_tokens": budget})
    assert result.is_error
    assert "max_thinking_tokens" in texts(result)[0]


def test_an_answer_that_looped_says_so_and_not_that_max_tokens_was_too_small() -> None:
    looped = ChatResult("la la", "", (), "length", "tiny", Usage(completion_tokens=1024), Timings(), looped=True)
    _, block = chat_result(looped).content
    assert isinstance(block, TextContent)
    assert "only repeated itself" in block.text
    assert "max_tokens" not in block.text
