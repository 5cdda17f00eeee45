"""Claude Code: its own command writes the server into its settings; the slash commands are files beside them.

Source: https://code.claude.com/docs/en/mcp (`claude mcp add`, `claude mcp list`) and /slash-commands, November 2026.
"""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from mcp_local_llm.agents.install.clients import NAME, Surroundings
from mcp_local_llm.agents.install.config_files import (
    MAX_BYTES,
    Backups,
    Written,
    fingerprint,
    missing_folders,
    read_file,
    remove_file,
    write_file,
)
from mcp_local_llm.setup.places import prompt_names, read_prompt
from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.values.client_change import ClientChange
from mcp_local_llm.values.errors import ConfigError

CLIENT, TITLE = "claude-code", "Claude Code"

RUN_S = 90
"""Seconds that `claude` may take; `claude mcp list` starts every server that it knows."""

AS_IT_IS = {"switch-model"}
"""The slash command that has no other meaning in Claude Code; the others get `local-` in front of their names."""


@dataclass(frozen=True)
class ClaudeCodeSettings:
    """Claude Code of this user; `program` is its command."""

    program: str
    around: Surroundings
    backups: Backups

    @property
    def identity(self) -> tuple[str, str, str]:
        """The client's name and title, and the place of its settings."""
        return CLIENT, TITLE, str(self.file)

    @property
    def file(self) -> Path:
        """The file that Claude Code keeps its servers in; only its own command writes it."""
        return self.around.named("CLAUDE_CONFIG_DIR", self.around.home) / ".claude.json"

    def command(self) -> tuple[str, ...]:
        """Return the command that it starts for us in every folder; empty where it knows none."""
        try:
            servers = json.loads(read_regular(self.file, MAX_BYTES * 4)).get("mcpServers", {})
        except (OSError, ValueError, AttributeError, RecursionError):
            return ()
        entry = cast(Mapping[str, Any], servers).get(NAME) if isinstance(servers, dict) else None
        if not isinstance(entry, dict):
            return ()
        told = cast(Mapping[str, Any], entry)
        return (str(told.get("command", "")), *map(str, told.get("args") or ()))

    def planned(self, command: Sequence[str]) -> ClientChange:
        """Plan to add the server for all projects, and the slash commands that are not there."""
        try:
            known, files = self.command(), self._missing_commands()
        except ConfigError as error:
            return self._failed(error)
        add = ("mcp", "add", "--scope", "user", NAME, "--", *command)
        remove = ("mcp", "remove", "--scope", "user", NAME)
        calls = [] if known == tuple(command) else [remove, add] if known else [add]
        return self._change(calls, [f"+ {path}" for path in files], partial(self._install, calls, files))

    def undone(self) -> ClientChange:
        """Plan to remove the server, and those of the slash commands that are as we wrote them."""
        calls = [("mcp", "remove", "--scope", "user", NAME)] if self.command() else []
        try:
            files = [path for name, path in self._commands() if self._ours(name, path)]
        except ConfigError as error:
            return self._failed(error)
        return self._change(calls, [f"- {path}" for path in files], partial(self._uninstall, calls, files))

    def _failed(self, error: ConfigError) -> ClientChange:
        return ClientChange(*self.identity, note=str(error), failed=True)

    def _change(self, calls: Sequence[Sequence[str]], files: Sequence[str], make: Callable[[], str]) -> ClientChange:
        lines = [f"$ claude {' '.join(call)}" for call in calls]
        shown = "\n".join([*lines, *files])
        note = "" if shown else "nothing is to be done there"
        return ClientChange(CLIENT, TITLE, self.program, shown, note, make=make if shown else None)

    def _install(self, calls: Sequence[Sequence[str]], files: Mapping[Path, str]) -> str:
        for call in calls:
            self._run(call)
        for path, text in files.items():
            content = text.encode()
            self.backups.keep(_key(path), path, Written(None, fingerprint(content), missing_folders(path)))
            write_file(path, content)
        listed = self._run(("mcp", "list"))
        line = next((line for line in listed.splitlines() if line.startswith(f"{NAME}:")), "")
        if not line:
            raise ConfigError(f"`claude mcp list` does not name {NAME} after `claude mcp add`: {listed.strip()[-300:]}")
        return f"`claude mcp list` says: {line}."

    def _uninstall(self, calls: Sequence[Sequence[str]], files: Sequence[Path]) -> str:
        for call in calls:
            self._run(call)
        for path in files:
            kept = self.backups.of(_key(path), path)
            remove_file(path, kept.folders if kept else ())
            self.backups.forget(_key(path))
        return "Claude Code does not know this server any more."

    def _run(self, arguments: Sequence[str]) -> str:
        spoken = f"claude {' '.join(arguments)}"
        try:
            done = subprocess.run(
                [self.program, *arguments],
                env=dict(self.around.environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=RUN_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(f"`{spoken}` could not be run: {error}.") from error
        if done.returncode:
            raise ConfigError(f"`{spoken}` failed: {(done.stderr or done.stdout).strip()[-500:]}")
        return done.stdout

    def _commands(self) -> list[tuple[str, Path]]:
        folder = self.around.named("CLAUDE_CONFIG_DIR", self.around.home / ".claude") / "commands"
        return [(name, folder / f"{name if name in AS_IT_IS else f'local-{name}'}.md") for name in prompt_names()]

    def _missing_commands(self) -> dict[Path, str]:
        missing: dict[Path, str] = {}
        for name, path in self._commands():
            content, text = read_file(path), read_prompt(name)
            if content is None or (content != text.encode() and self._written(path, content)):
                missing[path] = text
        return missing

    def _ours(self, name: str, path: Path) -> bool:
        content = read_file(path)
        return content is not None and (content == read_prompt(name).encode() or self._written(path, content))

    def _written(self, path: Path, content: bytes) -> bool:
        """Whether a file is as an earlier `install` left it."""
        kept = self.backups.of(_key(path), path)
        return kept is not None and kept.after == fingerprint(content)


def _key(path: Path) -> str:
    return f"{CLIENT}-{path.stem}"
