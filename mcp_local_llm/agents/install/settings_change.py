"""Plans and makes the change of one client's settings file, and undoes it."""

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp_local_llm.agents.install.clients import Client
from mcp_local_llm.agents.install.config_files import (
    Backups,
    Written,
    fingerprint,
    missing_folders,
    read_file,
    remove_file,
    write_file,
)
from mcp_local_llm.agents.install.config_text import entry_at, read, with_entry, without_entry
from mcp_local_llm.agents.install.unreadable import UnreadableSettings
from mcp_local_llm.values.client_change import ClientChange
from mcp_local_llm.values.errors import ConfigError

BOM = "\ufeff"


@dataclass(frozen=True)
class SettingsFile:
    """The settings file of one client."""

    client: Client
    path: Path
    backups: Backups

    def command(self) -> tuple[str, ...]:
        """Return the command that the file starts for us; empty where it names none.

        Raises:
            ConfigError: it cannot be read.
        """
        content = read_file(self.path)
        return self.client.command_of(self._entry(_text(content, self.path))) if content is not None else ()

    def planned(self, command: Sequence[str]) -> ClientChange:
        """Plan to write the entry that starts `command`; what the user added to an entry of ours stays."""
        try:
            before = read_file(self.path)
            text = _text(before or b"", self.path)
            old = self._entry(text)
            new = self._renewed(old, command)
            if old == new:
                return self._nothing("is written there already")
            after = with_entry(text.removeprefix(BOM), self.client.form, self.client.path, new)
        except (ConfigError, UnreadableSettings) as error:
            return self._failed(str(error), command)
        return self._change(before, _encoded(after, text), f"{self.client.title} starts this server from now on")

    def undone(self) -> ClientChange:
        """Plan to take the entry out: where the file is as we left it, it becomes what it was, byte for byte."""
        try:
            now = read_file(self.path)
            text = _text(now or b"", self.path)
            if self._entry(text) is None:
                return self._nothing("is not written there")
            kept = self.backups.of(self.client.name, self.path)
            if kept is not None and now is not None and fingerprint(now) == kept.after:
                return self._restored(now, kept)
            after = without_entry(text.removeprefix(BOM), self.client.form, self.client.path)
        except (ConfigError, UnreadableSettings) as error:
            return self._failed(str(error), ())
        return self._change(
            now, _encoded(after, text), "the entry is gone; the rest of the file is as it was", undo=True
        )

    def _entry(self, text: str) -> Any:
        try:
            return entry_at(read(text.removeprefix(BOM), self.client.form), self.client.path)
        except UnreadableSettings as error:
            raise ConfigError(f"{self.path} cannot be read as {self.client.form.upper()}: {error}.") from error

    def _renewed(self, old: Any, command: Sequence[str]) -> dict[str, Any]:
        new = self.client.entry(command)
        if not isinstance(old, dict):
            return new
        told = {key: new[key] for key in ("type", "command", "cmd", "args") if key in new}
        return {**old, **told}

    def _change(self, before: bytes | None, after: bytes, outcome: str, *, undo: bool = False) -> ClientChange:
        def make() -> str:
            if read_file(self.path) != before:
                raise ConfigError(f"{self.path} was changed by another program just now. Call this command again.")
            if undo:
                write_file(self.path, after)
                self.backups.forget(self.client.name)
                return f"{outcome}."
            # What was kept of an earlier change is what the file was before both.
            kept = self.backups.of(self.client.name, self.path)
            first = kept if kept and before is not None and fingerprint(before) == kept.after else Written(before, "")
            folders = first.folders or missing_folders(self.path)
            self.backups.keep(self.client.name, self.path, Written(first.before, fingerprint(after), folders))
            write_file(self.path, after)
            return f"{outcome}{self._copy(first)}."

        shown = _difference(before or b"", after, self.path)
        return ClientChange(self.client.name, self.client.title, str(self.path), shown, make=make)

    def _restored(self, now: bytes, kept: Written) -> ClientChange:
        def make() -> str:
            if read_file(self.path) != now:
                raise ConfigError(f"{self.path} was changed by another program just now. Call this command again.")
            if kept.before is None:
                remove_file(self.path, kept.folders)
            else:
                write_file(self.path, kept.before)
            self.backups.forget(self.client.name)
            return "the file is gone again." if kept.before is None else "the file is as it was, byte for byte."

        shown = _difference(now, kept.before or b"", self.path)
        return ClientChange(self.client.name, self.client.title, str(self.path), shown, make=make)

    def _copy(self, written: Written) -> str:
        return (
            f"; the file as it was is kept in {self.backups.copy(self.client.name)}"
            if written.before is not None
            else ""
        )

    def _nothing(self, note: str) -> ClientChange:
        return ClientChange(self.client.name, self.client.title, str(self.path), note=f"this server {note}")

    def _failed(self, reason: str, command: Sequence[str]) -> ClientChange:
        keys = ".".join(self.client.path)
        hand = f" Write it by hand under {keys}: {json.dumps(self.client.entry(command))}" if command else ""
        note = f"{reason.rstrip('.')}.{hand}"
        return ClientChange(self.client.name, self.client.title, str(self.path), note=note, failed=True)


def _text(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not text in UTF-8 (byte {error.start}).") from error


def _encoded(text: str, before: str) -> bytes:
    return ((BOM if before.startswith(BOM) else "") + text).encode()


def _difference(before: bytes, after: bytes, path: Path) -> str:
    old, new = (content.decode("utf-8").splitlines() for content in (before, after))
    return "\n".join(difflib.unified_diff(old, new, str(path), str(path), n=2, lineterm=""))
