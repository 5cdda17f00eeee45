"""The subagents that the local model answers, as Claude Code takes them on its command line.

They are passed to it (`--agents`), unless a plugin brings the same files: Claude Code calls an agent of a plugin by the
plugin's name (`local-llm:local-reader`), so it would offer each of them twice. Where no forwarder runs, their requests
go to the user's own model provider, which knows no such model; their descriptions say so.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio

from mcp_local_llm.setup.places import prompt_names, read_prompt, split_front_matter
from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.wire.json_values import as_list, as_object

FOLDER = "agents"
"""The folder of their texts in `prompts/`."""

SUBAGENT_MODEL = "local-llm"
"""The model's name in these texts, and in agent files of users; it always means the local model."""

PLUGIN_DIR = "--plugin-dir"

LIST_TIMEOUT_S = 15.0
"""It takes 0.4 s."""

MAX_BYTES = 64 * 1024


def local_agents() -> str:
    """Return the agents as the JSON of `--agents`."""
    return json.dumps({name: _agent(read_prompt(name, FOLDER)) for name in prompt_names(FOLDER)})


def _agent(text: str) -> dict[str, object]:
    fields, prompt = split_front_matter(text)
    return {
        "description": fields["description"],
        "prompt": prompt.strip(),
        "tools": fields["tools"].split(", "),
        "model": fields["model"],
    }


async def plugin_has_agents(agent: Path, arguments: Sequence[str], environ: Mapping[str, str], folder: Path) -> bool:
    """Return whether a plugin that is on brings these agents; false where Claude Code does not tell.

    Claude Code is asked by its own command, because plugins come from many places.

    Args:
        agent: Claude Code's program.
        arguments: the user's, which may name a plugin's folder.
        environ: as Claude Code will have it.
        folder: in which it will work.
    """
    command = [str(agent), *_plugin_folders(arguments), "plugin", "list", "--json"]
    try:
        with anyio.fail_after(LIST_TIMEOUT_S):
            done = await anyio.run_process(
                command, stdin=subprocess.DEVNULL, check=False, env=dict(environ), cwd=str(folder)
            )
        plugins = json.loads(done.stdout)
    except (OSError, TimeoutError, ValueError):
        return False
    return any(map(_has_agents, as_list(plugins)))


def _plugin_folders(arguments: Sequence[str]) -> list[str]:
    """Return the arguments that name folders of plugins."""
    found: list[str] = []
    for place, word in enumerate(arguments):
        if word == PLUGIN_DIR:
            found += arguments[place : place + 2]
        elif word.startswith(f"{PLUGIN_DIR}="):
            found.append(word)
    return found


def _has_agents(plugin: object) -> bool:
    told = as_object(plugin)
    place = told.get("readFromFolder") or told.get("installPath")
    if told.get("enabled") is not True or not isinstance(place, str):
        return False
    return all(_is_local(Path(place, "agents", f"{name}.md")) for name in prompt_names(FOLDER))


def _is_local(file: Path) -> bool:
    try:
        lines = read_regular(file, MAX_BYTES).decode().splitlines()
    except (OSError, ValueError):
        return False
    return f"model: {SUBAGENT_MODEL}" in lines
