"""Watch a real MCP client talk to the server: `make demo`.

The server runs as a subprocess with a home folder of its own, so nothing of yours is changed; it looks at the models
of this machine but answers with the built-in one. Nothing is downloaded.
"""

import json
import os
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp_types import CallToolResult, TextContent

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather for a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}

STEPS: list[tuple[str, str, dict[str, Any]]] = [
    ("How do things stand? Nothing is loaded yet.", "status", {}),
    ("Which models are on this machine?", "list_models", {}),
    ("Does the model work? The first call loads it.", "quick_test", {"test": "hello"}),
    ("A long answer, with progress.", "chat", {"message": "Count from 1 to 150.", "thinking": False}),
    (
        "A model that thinks: the reasoning is counted, not returned.",
        "chat",
        {"message": "How many legs do two cats and a bird have?", "thinking": True},
    ),
    ("A tool call, parsed.", "chat", {"message": "What is the weather in Paris?", "tools": [WEATHER]}),
    (
        "Too few tokens to finish thinking: a note, never the reasoning.",
        "chat",
        {"message": "How many legs do two cats and a bird have?", "thinking": True, "max_tokens": 8},
    ),
    ("A wrong argument is refused by name.", "chat", {"message": "Hello", "max_token": 100}),
    ("Choose a model; the choice survives restarts.", "set_model", {"name": "tiny"}),
    ("And now?", "status", {}),
]


def server_environment(home: Path) -> dict[str, str]:
    """Give the server a home of its own, and a look at the real one's models."""
    real = Path.home()
    hub = Path(os.environ.get("HF_HOME", real / ".cache" / "huggingface")) / "hub"
    folders = [real / ".lmstudio" / "models", real / ".cache" / "lm-studio" / "models"]
    return {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "HF_HUB_CACHE": os.environ.get("HF_HUB_CACHE", str(hub)),
        "HF_HUB_OFFLINE": "1",
        "XDG_RUNTIME_DIR": str(home / "run"),
        "MCP_LOCAL_LLM_MODEL": "tiny",
        "MCP_LOCAL_LLM_FOLDERS": os.pathsep.join(str(folder) for folder in folders),
    }


def written(arguments: dict[str, Any]) -> str:
    """Write a call's arguments on one line; of tools, the names."""
    short = {
        name: [tool["function"]["name"] for tool in value] if name == "tools" else value
        for name, value in arguments.items()
    }
    return json.dumps(short) if short else ""


async def show_progress(progress: float, total: float | None, message: str | None) -> None:
    """Print a step of progress as a client shows it beside a running call."""
    print(f"    .. {message}")


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


async def demo() -> bool:
    """Run every step; say whether each tool answered as it should."""
    with tempfile.TemporaryDirectory() as folder:
        parameters = StdioServerParameters(
            command=sys.executable, args=["-m", "mcp_local_llm"], env=server_environment(Path(folder))
        )
        async with Client(parameters) as client:
            tools = (await client.list_tools()).tools
            print(f"Connected, protocol {client.protocol_version}. Tools: {', '.join(tool.name for tool in tools)}.")
            good = True
            for why, tool, arguments in STEPS:
                print(f"\n# {why}\n> {tool} {written(arguments)}".rstrip())

                result = await client.call_tool(tool, arguments, progress_callback=show_progress)
                show(result)
                good = good and result.is_error == ("max_token" in arguments)
    print(f"\n{'Everything answered as it should.' if good else 'Something went wrong: see above.'}")
    return good


if __name__ == "__main__":
    sys.exit(0 if anyio.run(demo) else 1)
