"""Makes the `.mcpb` bundle for Claude Desktop: `make mcpb` writes `dist/mcp-local-llm-VERSION.mcpb`.

A bundle is a zip of a manifest and the server. Claude Desktop brings `uv`, which installs what `pyproject.toml` asks
for when the server is started first; that needs the network once.
Source: https://github.com/modelcontextprotocol/mcpb, MANIFEST.md, manifest version 0.4.
"""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from mcp_local_llm import __version__
from mcp_local_llm.app import compose
from mcp_local_llm.doors.mcp import build_server
from release.supply import ROOT

FOLDERS = ("mcp_local_llm", "prompts")
FILES = ("pyproject.toml", "README.md", "LICENSE")


async def manifest(home: Path) -> dict[str, Any]:
    """Return the manifest; the list of tools is what the server itself tells.

    Args:
        home: an empty folder, so that no settings of this user get into the bundle.
    """
    app = compose({"HOME": str(home), "XDG_RUNTIME_DIR": str(home)}, home)
    async with app.llm, Client(build_server(app.llm, app.delegation)) as client:
        tools = (await client.list_tools()).tools
    return {
        "manifest_version": "0.4",
        "name": "mcp-local-llm",
        "display_name": "Local LLM",
        "version": __version__,
        "description": "Hands routine, private or high-volume work to a language model on this machine.",
        "author": {"name": "The mcp-local-llm authors"},
        "license": "MIT",
        "icon": "icon.png",
        "keywords": ["local-llm", "mlx", "offline", "privacy"],
        "server": {
            "type": "uv",
            "entry_point": "mcp_local_llm/__main__.py",
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--directory", "${__dirname}", "mcp-local-llm"],
                "env": {"MCP_LOCAL_LLM_MODEL": "${user_config.model}"},
            },
        },
        "tools": [{"name": tool.name, "description": (tool.description or "").split("\n")[0]} for tool in tools],
        "user_config": {
            "model": {
                "type": "string",
                "title": "Model",
                "description": "For calls that name none: role, id or fragment such as 32b. Empty: the saved choice.",
                "required": False,
                "default": "",
            }
        },
        "compatibility": {"platforms": ["darwin", "linux"], "runtimes": {"python": ">=3.11"}},
    }


def members() -> Iterator[Path]:
    """Return the files of the server, relative to the repository."""
    yield from (Path(name) for name in FILES)
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(ROOT)


def write_bundle(target: Path, home: Path) -> None:
    """Write the bundle."""
    target.parent.mkdir(parents=True, exist_ok=True)
    told = anyio.run(manifest, home)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps(told, indent=2) + "\n")
        archive.write(ROOT / "plugin" / ".claude-plugin" / "icon.png", "icon.png")
        for path in members():
            archive.write(ROOT / path, str(path))
