"""What the demo prints of a call: arguments, progress, the answer, its numbers."""

import json
import textwrap
from typing import Any

from mcp import Client
from mcp_types import CallToolResult, TextContent

LONGEST = 200
"""Characters of an argument that are printed; of a longer one, less."""


def written(arguments: dict[str, Any]) -> str:
    """Write a call's arguments on one line; of tools the names, of a long text its beginning and end."""
    short = {name: shortened(name, value) for name, value in arguments.items()}
    return json.dumps(short) if short else ""


def shortened(name: str, value: Any) -> Any:
    """Return what of an argument is printed."""
    if name == "tools":
        return [tool["function"]["name"] for tool in value]
    return f"{value[:60]} ... {value[-60:]}" if isinstance(value, str) and len(value) > LONGEST else value


async def show_progress(progress: float, total: float | None, message: str | None) -> None:
    """Print a step of progress as a client shows it beside a running call."""
    print(f"    .. {message}")


async def call(client: Client, why: str, tool: str, arguments: dict[str, Any]) -> bool:
    """Call a tool and print everything about it; returns whether the call was refused or failed."""
    print(f"\n# {why}\n> {tool} {written(arguments)}".rstrip())
    result = await client.call_tool(tool, arguments, progress_callback=show_progress)
    show(result)
    return bool(result.is_error)


def show(result: CallToolResult) -> None:
    """Print what a model would read, then the numbers beside it."""
    for block in result.content:
        if isinstance(block, TextContent):
            for line in block.text.splitlines():
                wrapped = textwrap.wrap(line, 110) if len(line) > 240 else [line]
                print("\n".join(f"    {part}" for part in wrapped))
    numbers = (result.meta or {}).get("local-llm/result")
    if numbers is not None:
        usage, timings = numbers["usage"], numbers["timings"]
        print(
            f"    -- {numbers['finish_reason']}; {usage['prompt_tokens']} prompt tokens ({usage['cached_tokens']} "
            f"cached), {usage['completion_tokens']} generated ({usage['reasoning_tokens']} reasoning), "
            f"{timings['decode_s']:.2f} s decode"
        )
