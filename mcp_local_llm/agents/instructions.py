"""The instruction files that an agent puts into its first request, such as CLAUDE.md: their text, to be counted."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from mcp_local_llm.setup.places import xdg_folder
from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.values.launch_order import AgentName

MAX_BYTES = 2**20
"""Of one file; a longer one is left out of the count."""

OF_FOLDERS: Mapping[AgentName, tuple[str, ...]] = {
    "claude": ("CLAUDE.md", ".claude/CLAUDE.md", "CLAUDE.local.md"),
    "codex": ("AGENTS.md",),
    "opencode": ("AGENTS.md",),
}
"""Names of the files in the folders of a project."""


def instructions(agent: AgentName, environ: Mapping[str, str], home: Path, folder: Path) -> str:
    """Return the text of the user's and the project's instruction files for an agent started in `folder`.

    Files that these name are not followed, so the agent may send more.
    """
    files = [_of_user(agent, environ, home)]
    files += [place / name for place in _folders(agent, folder) for name in OF_FOLDERS[agent]]
    # Below the home folder, a file of the user is one of a folder as well.
    return "\n".join(_texts(dict.fromkeys(files)))


def _of_user(agent: AgentName, environ: Mapping[str, str], home: Path) -> Path:
    if agent == "claude":
        return Path(environ.get("CLAUDE_CONFIG_DIR") or home / ".claude") / "CLAUDE.md"
    if agent == "codex":
        return Path(environ.get("CODEX_HOME") or home / ".codex") / "AGENTS.md"
    return xdg_folder(environ, "XDG_CONFIG_HOME", home / ".config") / "opencode" / "AGENTS.md"


def _folders(agent: AgentName, folder: Path) -> list[Path]:
    """Return the folders whose files count: up to the top of the repository, for Claude Code up to the root."""
    upwards = [folder, *folder.parents]
    if agent == "claude":
        return upwards
    top = next((place for place in upwards if (place / ".git").exists()), folder)
    return upwards[: upwards.index(top) + 1]


def _texts(files: Iterable[Path]) -> list[str]:
    texts: list[str] = []
    for file in files:
        try:
            texts.append(read_regular(file, MAX_BYTES).decode(errors="replace"))
        except OSError:
            continue  # It is not there, or is no file.
    return texts
