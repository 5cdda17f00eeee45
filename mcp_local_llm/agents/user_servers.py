"""The MCP servers that the user has configured for an agent, read from the agent's own files; nothing is written."""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from mcp_local_llm.agents.install.json_text import read_value
from mcp_local_llm.agents.install.unreadable import UnreadableSettings
from mcp_local_llm.agents.order import UserServers
from mcp_local_llm.setup.places import xdg_folder
from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.values.launch_order import AgentName
from mcp_local_llm.wire.json_values import as_object

MAX_BYTES = 32 * 2**20
"""Of a configuration file; Claude Code keeps the history of projects in its own."""

OURS = ("mcp-local-llm", "mcp_local_llm")
"""Names of this program, in a server's command, arguments or address."""


def user_servers(agent: AgentName, environ: Mapping[str, str], home: Path, folder: Path) -> UserServers:
    """Return the servers of the user for one agent that is started in `folder`; a broken file counts as empty."""
    readers: Mapping[AgentName, Callable[[Mapping[str, str], Path, Path], UserServers]] = {
        "claude": _claude_servers,
        "codex": _codex_servers,
        "opencode": _opencode_servers,
    }
    return readers[agent](environ, home, folder)


def _claude_servers(environ: Mapping[str, str], home: Path, folder: Path) -> UserServers:
    """Read the scopes user and local, and of the project's own file the servers that the user has approved."""
    state, place = claude_files(environ, home)
    own = read_settings(state)
    settings = [read_settings(file) for file in (place / "settings.json", folder / ".claude" / "settings.local.json")]
    project = as_object(as_object(own.get("projects")).get(str(folder)))
    approved, disabled, every = _approvals([project, *settings])
    shared = as_object(read_settings(folder / ".mcp.json").get("mcpServers"))
    taken = {name: entry for name, entry in shared.items() if (every or name in approved) and name not in disabled}
    found = {**taken, **as_object(own.get("mcpServers")), **as_object(project.get("mcpServers"))}
    return _divided(found, unapproved=tuple(name for name in shared if name not in found))


def _approvals(sources: Iterable[Mapping[str, Any]]) -> tuple[set[str], set[str], bool]:
    """Return the names of approved and of refused servers of a project, and whether all are approved."""
    approved, disabled, every = set[str](), set[str](), False
    for source in sources:
        approved |= set(_texts(source.get("enabledMcpjsonServers")))
        disabled |= set(_texts(source.get("disabledMcpjsonServers")))
        every = every or source.get("enableAllProjectMcpServers") is True
    return approved, disabled, every


def _codex_servers(environ: Mapping[str, str], home: Path, folder: Path) -> UserServers:
    named = environ.get("CODEX_HOME", "")
    place = Path(named) if named else home / ".codex"
    found: dict[str, Any] = {}
    for file in (place / "config.toml", folder / ".codex" / "config.toml"):
        try:
            value: Mapping[str, Any] = tomllib.loads(read_regular(file, MAX_BYTES).decode())
        except (OSError, ValueError):
            continue
        found |= as_object(value.get("mcp_servers"))
    return _divided(found)


def _opencode_servers(environ: Mapping[str, str], home: Path, folder: Path) -> UserServers:
    place = xdg_folder(environ, "XDG_CONFIG_HOME", home / ".config") / "opencode"
    files = [place / name for name in ("config.json", "opencode.json", "opencode.jsonc")]
    if environ.get("OPENCODE_CONFIG"):
        files.append(Path(environ["OPENCODE_CONFIG"]))
    for parent in reversed([folder, *folder.parents]):
        files += [parent / name for name in ("opencode.json", "opencode.jsonc")]
        files += [parent / ".opencode" / name for name in ("opencode.json", "opencode.jsonc")]
    found: dict[str, Any] = {}
    for file in files:
        found |= as_object(read_settings(file).get("mcp"))
    return _divided(found)


def _divided(found: Mapping[str, Any], unapproved: tuple[str, ...] = ()) -> UserServers:
    own = tuple(name for name, entry in found.items() if _is_ours(entry))
    others = {name: entry for name, entry in found.items() if name not in own}
    return UserServers(own, others, unapproved)


def _is_ours(entry: object) -> bool:
    """Say whether a server's command, arguments or address name this program."""
    table = as_object(entry)
    words = [table.get("command"), table.get("args"), table.get("url")]
    return any(name in word for name in OURS for value in words for word in _texts(value))


def _texts(value: object) -> list[str]:
    values = cast(list[object], value) if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str)]


def claude_files(environ: Mapping[str, str], home: Path) -> tuple[Path, Path]:
    """Return the file in which Claude Code keeps servers and projects, and the folder of the user's settings."""
    named = environ.get("CLAUDE_CONFIG_DIR", "")
    return (Path(named) if named else home) / ".claude.json", Path(named) if named else home / ".claude"


def read_settings(file: Path) -> Mapping[str, Any]:
    """Return the object in a file of JSON with comments; an empty one where it is not there, or is broken."""
    try:
        return as_object(read_value(read_regular(file, MAX_BYTES).decode()))
    except (OSError, ValueError, UnreadableSettings):
        return {}
