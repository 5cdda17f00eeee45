"""The coding agents whose settings are files: where each one keeps them, and the form of an entry there.

Pure. Sources, November 2026: each agent's documentation, named beside its entry; Claude Code is another matter (see
`claude_code`), since its own command writes its settings.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp_local_llm.agents.install.config_text import Format
from mcp_local_llm.setup.places import xdg_folder

NAME = "local-llm"
"""The server's name in every client."""

LOAD_S = 1800
"""Seconds that a call may take: a large model loads for minutes, and most clients wait for one."""


@dataclass(frozen=True)
class Surroundings:
    """Where this user's programs keep their settings; `system` as `platform.system()`."""

    home: Path
    environ: Mapping[str, str]
    system: str

    def config(self, *parts: str) -> Path:
        """Return a path in the folder of settings that XDG names."""
        return xdg_folder(self.environ, "XDG_CONFIG_HOME", self.home / ".config").joinpath(*parts)

    def application(self, *parts: str) -> Path:
        """Return a path in the folder where desktop programs keep theirs."""
        mac = self.home / "Library" / "Application Support"
        return mac.joinpath(*parts) if self.system == "Darwin" else self.config(*parts)

    def named(self, variable: str, default: Path) -> Path:
        """Return the folder that a variable of the environment names."""
        value = self.environ.get(variable, "")
        return Path(value) if value else default


@dataclass(frozen=True)
class Client:
    """A coding agent.

    Attributes:
        name: on the command line; `title`: in sentences.
        form, path: the format of its settings, and the keys that lead to our entry.
        files: the candidates for its settings file; the first one that exists is taken, else the first.
        program: the command that it is started with; empty for a desktop program.
        entry: makes our entry out of the command to start.
    """

    name: str
    title: str
    form: Format
    path: tuple[str, ...]
    files: Callable[[Surroundings], Sequence[Path]]
    entry: Callable[[Sequence[str]], dict[str, Any]]
    program: str = ""

    def file(self, around: Surroundings) -> Path:
        """Return the path of its settings file, which need not exist."""
        candidates = self.files(around)
        return next((file for file in candidates if file.exists()), candidates[0])

    def command_of(self, entry: object) -> tuple[str, ...]:
        """Return the program and arguments of an entry; empty where it has another form."""
        if not isinstance(entry, Mapping):
            return ()
        words: list[object] = []
        for key in ("command", "cmd", "args"):
            value: object = entry.get(key)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            words += value if isinstance(value, list) else [value] if value is not None else []
        return tuple(word for word in words if isinstance(word, str))


def _plain(command: Sequence[str], **more: Any) -> dict[str, Any]:
    return {"command": command[0], "args": list(command[1:]), **more}


CLIENTS = (
    Client(
        # https://modelcontextprotocol.io/docs/develop/connect-local-servers
        "claude-desktop",
        "Claude Desktop",
        "json",
        ("mcpServers", NAME),
        lambda around: (around.application("Claude", "claude_desktop_config.json"),),
        _plain,
    ),
    Client(
        # https://developers.openai.com/codex/mcp
        "codex",
        "Codex",
        "toml",
        ("mcp_servers", NAME),
        lambda around: (around.named("CODEX_HOME", around.home / ".codex") / "config.toml",),
        lambda command: _plain(command, startup_timeout_sec=60, tool_timeout_sec=LOAD_S),
        "codex",
    ),
    Client(
        # https://cursor.com/docs/mcp
        "cursor",
        "Cursor",
        "json",
        ("mcpServers", NAME),
        lambda around: (around.home / ".cursor" / "mcp.json",),
        _plain,
        "cursor",
    ),
    Client(
        # https://code.visualstudio.com/docs/agents/reference/mcp-configuration
        "vscode",
        "VS Code",
        "json",
        ("servers", NAME),
        lambda around: (around.application("Code", "User", "mcp.json"),),
        lambda command: {"type": "stdio", **_plain(command)},
        "code",
    ),
    Client(
        # https://docs.cline.bot/mcp/configuring-mcp-servers: the extension of VS Code, and the command line
        "cline",
        "Cline",
        "json",
        ("mcpServers", NAME),
        lambda around: (
            around.application(
                "Code", "User", "globalStorage", "saoudrizwan.claude-dev", "settings", "cline_mcp_settings.json"
            ),
            around.home / ".cline" / "data" / "settings" / "cline_mcp_settings.json",
        ),
        lambda command: _plain(command, disabled=False, timeout=LOAD_S),
        "cline",
    ),
    Client(
        # https://zed.dev/docs/ai/mcp
        "zed",
        "Zed",
        "json",
        ("context_servers", NAME),
        lambda around: (around.config("zed", "settings.json"),),
        lambda command: _plain(command, env={}),
        "zed",
    ),
    Client(
        # https://opencode.ai/docs/mcp-servers; the timeout is in milliseconds and begins anew with each progress
        "opencode",
        "opencode",
        "json",
        ("mcp", NAME),
        lambda around: (around.config("opencode", "opencode.json"), around.config("opencode", "opencode.jsonc")),
        lambda command: {"type": "local", "command": list(command), "enabled": True, "timeout": 60_000},
        "opencode",
    ),
    Client(
        # https://geminicli.com/docs/tools/mcp-server; milliseconds
        "gemini",
        "Gemini CLI",
        "json",
        ("mcpServers", NAME),
        lambda around: (around.home / ".gemini" / "settings.json",),
        lambda command: _plain(command, timeout=LOAD_S * 1000),
        "gemini",
    ),
    Client(
        # https://block.github.io/goose/docs/guides/config-files
        "goose",
        "Goose",
        "yaml",
        ("extensions", NAME),
        lambda around: (around.config("goose", "config.yaml"),),
        lambda command: {
            "name": NAME,
            "type": "stdio",
            "enabled": True,
            "cmd": command[0],
            "args": list(command[1:]),
            "envs": {},
            "timeout": LOAD_S,
        },
        "goose",
    ),
)


def is_here(client: Client, around: Surroundings, which: Callable[[str], str | None]) -> bool:
    """Return whether the client was found: its settings, the folder that it keeps them in, or its program."""
    if client.program and which(client.program):
        return True
    return any(file.exists() or file.parent.is_dir() for file in client.files(around))
