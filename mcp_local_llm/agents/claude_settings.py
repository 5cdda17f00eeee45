"""The variables that Claude Code's own settings files set: where its requests go, proxies, certificates. Read-only.

Claude Code puts `env` of its files over its environment. What takes over its way to the API must do the same.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from mcp_local_llm.agents.user_servers import claude_files, read_settings
from mcp_local_llm.values.errors import ConfigError
from mcp_local_llm.wire.json_values import as_object

BASE_URL, TOKEN = "ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN"

OTHER_WAYS = (
    "ANTHROPIC_UNIX_SOCKET",
    "CLAUDE_CODE_USE_ANTHROPIC_AWS",
    "CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_FOUNDRY",
    "CLAUDE_CODE_USE_GATEWAY",
    "CLAUDE_CODE_USE_MANTLE",
    "CLAUDE_CODE_USE_VERTEX",
)
"""With one of these Claude Code does not send its requests to `BASE_URL`, so nothing can stand between."""

NO = ("", "0", "false", "no", "off")


def claude_environ(environ: Mapping[str, str], home: Path, folder: Path) -> dict[str, str]:
    """Return the environment as Claude Code will have it.

    A project's files are not obeyed: its author would decide where the user's login goes.

    Raises:
        ConfigError: requests cannot be sent by way of a forwarder, or files disagree about where they go.
    """
    state, place = claude_files(environ, home)
    variables = dict(environ)
    for file in (state, place / "settings.json"):
        variables |= _variables(file)
    for file in (managed_file(), folder / ".claude" / "settings.json", folder / ".claude" / "settings.local.json"):
        if BASE_URL in (set_here := _variables(file)) and set_here[BASE_URL] != variables.get(BASE_URL):
            raise ConfigError(
                f"{file} sets {BASE_URL}, and your own settings do not. Local subagents need that address in your own "
                f"settings or environment: set {BASE_URL} to it, or start Claude Code in another folder."
            )
    for name in OTHER_WAYS:
        if variables.get(name, "").strip().lower() not in NO:
            raise ConfigError(
                f"{name} is set, so Claude Code does not send its requests to {BASE_URL}, and local subagents cannot "
                "be told from the rest. Unset it, or use `launch claude` without --subagents-local."
            )
    return variables


def require_unmanaged() -> None:
    """Check that the administrator's settings, which win over all others, leave it open where requests go.

    Raises:
        ConfigError: they fix it.
    """
    file = managed_file()
    fixed = {name: value for name, value in _variables(file).items() if name in (BASE_URL, TOKEN, *OTHER_WAYS)}
    names = [name for name, value in fixed.items() if value.strip().lower() not in NO]
    if names:
        raise ConfigError(
            f"{file} fixes where Claude Code sends its requests ({', '.join(names)}), and nothing that is told to it "
            "here wins over that file. Ask your administrator, or start codex or opencode."
        )


def managed_file() -> Path:
    """Return the file of the machine's administrator."""
    mac = sys.platform == "darwin"
    folder = "/Library/Application Support/ClaudeCode" if mac else "/etc/claude-code"
    return Path(folder) / "managed-settings.json"


def _variables(file: Path) -> dict[str, str]:
    variables = as_object(read_settings(file).get("env"))
    return {name: str(value) for name, value in variables.items() if isinstance(value, str | int | float)}
