"""Watch a real MCP client talk to the server: `make demo`.

The server runs as a subprocess with a home folder of its own, so nothing of yours is changed; it looks at the models
of this machine but answers with the built-in one. A chapter on a real model comes last, see `examples.real_model`.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

from examples.real_model import real_model_chapter
from examples.showing import call

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
    places = (real / ".lmstudio" / "models", real / ".cache" / "lm-studio" / "models")
    folders = [folder for folder in places if folder.is_dir()]
    return {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "HF_HUB_CACHE": os.environ.get("HF_HUB_CACHE", str(hub)),
        "HF_HUB_OFFLINE": "1",
        "XDG_RUNTIME_DIR": str(home / "run"),
        "MCP_LOCAL_LLM_MODEL": "tiny",
        "MCP_LOCAL_LLM_FOLDERS": os.pathsep.join(str(folder) for folder in folders),
    }


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
                refused = await call(client, why, tool, arguments)
                good = good and refused == ("max_token" in arguments)
    good = await real_model_chapter() and good
    print(f"\n{'Everything answered as it should.' if good else 'Something went wrong: see above.'}")
    return good


if __name__ == "__main__":
    sys.exit(0 if anyio.run(demo) else 1)
