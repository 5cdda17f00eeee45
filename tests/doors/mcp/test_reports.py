"""The four tools that answer with a structured value, and the words beside it."""

from typing import Any

import jsonschema
import pytest
from mcp import Client
from mcp_types import CallToolResult

from tests.doors.mcp.answers import texts

TESTS = ["hello", "math", "creative", "code_review", "tools", "thinking", "json"]


async def report(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool; its structured answer, checked against the schema that it published."""
    result = await call(client, tool, **arguments)
    schema = {tool.name: tool for tool in (await client.list_tools()).tools}[tool].output_schema
    assert schema is not None
    assert result.structured_content is not None
    jsonschema.validate(result.structured_content, schema)
    return result.structured_content


async def call(client: Client, tool: str, **arguments: Any) -> CallToolResult:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, texts(result)
    return result


@pytest.mark.parametrize("test", TESTS)
async def test_every_quick_test_passes_on_the_built_in_model(client: Client, test: str) -> None:
    told = await report(client, "quick_test", test=test)
    assert told["passed"], told
    assert told["test"] == test
    assert told["model"] == "tiny"
    assert told["completion_tokens"] > 0


async def test_a_quick_test_without_a_name_says_hello(client: Client) -> None:
    assert (await report(client, "quick_test"))["test"] == "hello"


async def test_a_quick_test_says_its_verdict_first_and_the_model_s_answer_apart(client: Client) -> None:
    text, answer = texts(await call(client, "quick_test", test="hello"))
    assert text.startswith("hello: passed. The answer is OK.\ntiny, ")
    assert text.endswith("Question: Reply with exactly OK")
    assert answer == "Answer: OK"


async def test_set_model_loads_and_then_says_that_it_is_resident_already(client: Client) -> None:
    first = await report(client, "set_model", name="tiny")
    assert first["model"] == "tiny"
    assert first["size_bytes"] > 1_000_000
    again = await report(client, "set_model", name="tiny")
    assert again["loaded"] is False
    (text,) = texts(await call(client, "set_model", name="tiny"))
    assert text.startswith("tiny is resident already; it stays the choice.")


async def test_list_models_shows_the_built_in_model_as_one_for_tests(client: Client) -> None:
    (row,) = (await report(client, "list_models"))["models"]
    assert (row["number"], row["name"], row["fits"]) == (1, "tiny", True)
    assert "test" in row["good_for"]
    (text,) = texts(await call(client, "list_models"))
    head = text.splitlines()[0].split()
    assert head == ["#", "model", "size", "quantization", "context", "fits", "speed", "good", "for"]
    assert text.splitlines()[1].lstrip().startswith("1  tiny")


async def test_status_tells_the_resident_model_and_what_was_answered(client: Client) -> None:
    await call(client, "chat", message="Hello")
    now = await report(client, "status")
    assert (now["state"], now["model"], now["calls_running"]) == ("ready", "tiny", 0)
    assert now["calls_answered"] >= 1
    assert now["memory_total_bytes"] > now["memory_available_bytes"] > 0
    (text,) = texts(await call(client, "status"))
    assert text.startswith("ready tiny, 0 running, ")
