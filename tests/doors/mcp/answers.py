"""Short ways to read what a tool answered."""

from typing import Any

from mcp import Client
from mcp_types import CallToolResult, TextContent

LEGS = "How many legs do two cats and a bird have?"
"""The built-in model thinks about this one in a few dozen tokens, and answers 10."""


def texts(result: CallToolResult) -> list[str]:
    """The text blocks; there must be no others."""
    assert all(isinstance(block, TextContent) for block in result.content)
    return [block.text for block in result.content if isinstance(block, TextContent)]


def numbers(result: CallToolResult) -> dict[str, Any]:
    """What `chat` says beside its text."""
    assert result.meta is not None
    return result.meta["local-llm/result"]


async def ask(client: Client, message: str, **arguments: Any) -> CallToolResult:
    """Chat; the call must succeed."""
    result = await client.call_tool("chat", {"message": message, **arguments})
    assert not result.is_error, texts(result)
    return result


async def refusal(client: Client, tool: str, arguments: dict[str, Any]) -> str:
    """Call a tool that must refuse; returns why."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, texts(result)
    assert result.structured_content is None
    (text,) = texts(result)
    assert not text.startswith("Error executing tool")
    return text
