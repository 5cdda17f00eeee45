"""Plans and makes the change of one client's settings file, and undoes it."""

import difflib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
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

    @property
    def identity(self) -> tuple[str, str, str]:
        """The client's name and title, and the place of its settings."""
        return self.client.name, self.client.title, str(self.path)

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
        content = _encoded(after, text)
        return self._change(before, content, partial(self._write, before, content))

    def undone(self) -> ClientChange:
        """Plan to take the entry out: where the file is as we left it, it becomes what it was, byte for byte."""
        try:
            now = read_file(self.path)
            text = _text(now or b"", self.path)
            if self._entry(text) is None:
                return self._nothing("is not written there")
            kept = self.backups.of(self.client.name, self.path)
            if kept is not None and now is not None and fingerprint(now) == kept.after:
                outcome = "the file is gone again." if kept.before is None else "the file is as it was, byte for byte."
                return self._change(now, kept.before, partial(self._put_back, kept.before, kept.folders, outcome))
            after = without_entry(text.removeprefix(BOM), self.client.form, self.client.path)
        except (ConfigError, UnreadableSettings) as error:
            return self._failed(str(error), ())
        content, outcome = _encoded(after, text), "the entry is gone; the rest of the file is as it was."
        return self._change(now, content, partial(self._put_back, content, (), outcome))

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

    def _change(self, before: bytes | None, after: bytes | None, make: Callable[[], str]) -> ClientChange:
        def checked() -> str:
            if read_file(self.path) != before:
                raise ConfigError(f"{self.path} was changed by another program just now. Call this command again.")
            return make()

        shown = _difference(before or b"", after or b"", self.path)
        return ClientChange(*self.identity, shown, make=checked)

    def _write(self, before: bytes | None, after: bytes) -> str:
        # What was kept of an earlier change is what the file was before both.
        kept = self.backups.of(self.client.name, self.path)
        first = kept if kept and before is not None and fingerprint(before) == kept.after else Written(before, "")
        folders = first.folders or missing_folders(self.path)
        self.backups.keep(self.client.name, self.path, Written(first.before, fingerprint(after), folders))
        write_file(self.path, after)
        copy = "" if first.before is None else f"; the file as it was is kept in {self.backups.copy(self.client.name)}"
        return f"{self.client.title} starts this server from now on{copy}."

    def _put_back(self, content: bytes | None, folders: tuple[Path, ...], outcome: str) -> str:
        if content is None:
            remove_file(self.path, folders)
        else:
            write_file(self.path, content)
        self.backups.forget(self.client.name)
        return outcome

    def _nothing(self, note: str) -> ClientChange:
        return ClientChange(*self.identity, note=f"this server {note}")

    def _failed(self, reason: str, command: Sequence[str]) -> ClientChange:
        keys = ".".join(self.client.path)
        hand = f" Write it by hand under {keys}: {json.dumps(self.client.entry(command))}" if command else ""
        note = f"{reason.rstrip('.')}.{hand}"
        return ClientChange(*self.identity, note=note, failed=True)


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
