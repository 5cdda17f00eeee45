"""Where an agent's program is on this machine."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from mcp_local_llm.agents.forms import AGENTS
from mcp_local_llm.values.errors import ConfigError
from mcp_local_llm.values.launch_order import AgentName

INSTALLERS: Mapping[AgentName, str] = {
    "claude": "npm install -g @anthropic-ai/claude-code",
    "codex": "npm install -g @openai/codex",
    "opencode": "npm install -g opencode-ai",
}

OTHER_FOLDERS: Mapping[AgentName, tuple[str, ...]] = {
    "claude": (".local/bin", ".claude/local"),
    "codex": (".local/bin",),
    "opencode": (".local/bin", ".opencode/bin"),
}
"""Folders of the home folder into which installers put an agent, whether or not the PATH names them."""


def find_agent(agent: AgentName, environ: Mapping[str, str], home: Path) -> Path:
    """Return the path of an agent's program: on the PATH, else where its installer puts it.

    Raises:
        ConfigError: it is not there; says how to install it.
    """
    folders = [str(home / folder) for folder in OTHER_FOLDERS[agent]]
    for path in (environ.get("PATH", ""), *folders):
        found = shutil.which(agent, path=path)
        if found is not None:
            return Path(found).absolute()
    places = ", ".join(f"~/{folder}" for folder in OTHER_FOLDERS[agent])
    raise ConfigError(
        f"{AGENTS[agent]} is not on this machine: there is no `{agent}` on the PATH or in {places}. Install it with "
        f"`{INSTALLERS[agent]}`, then start it again."
    )
