"""What the plugin repeats of other files: `make plugin` writes it, and a test compares.

A plugin is installed as a folder of its own, so it can't link to what lies beside it.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import anyio
from mcp import Client

from mcp_local_llm.agents import subagents
from mcp_local_llm.doors.mcp import build_server
from mcp_local_llm.setup.places import prompt_names, read_prompt
from tests.apps import opened
from tests.clients import private_environ
from tests.source import ROOT

PLUGIN = ROOT / "plugin"


async def repeated() -> Mapping[Path, str]:
    """The slash commands, the local model's agents, and the list of tools that stand-ins show in an evaluation."""
    with tempfile.TemporaryDirectory() as home:
        environ = private_environ(Path(home))
        async with opened(environ, Path(home)) as app, Client(build_server(app.llm, app.delegation)) as client:
            tools = (await client.list_tools()).tools
    fields = ("name", "description", "inputSchema")
    listed = [{field: tool.model_dump(by_alias=True)[field] for field in fields} for tool in tools]
    return {
        **{PLUGIN / "commands" / f"{name}.md": read_prompt(name) for name in prompt_names()},
        **{
            PLUGIN / "agents" / f"{name}.md": read_prompt(name, subagents.FOLDER)
            for name in prompt_names(subagents.FOLDER)
        },
        PLUGIN / "evals" / "mocks" / "local-llm" / "_tools.json": json.dumps({"tools": listed}, indent=1) + "\n",
    }


def main() -> None:
    """Write the files."""
    for path, text in anyio.run(repeated).items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
