"""Writes the settings files of other programs, and remembers how they were before, so that it can be undone.

What is remembered lies in the state folder, for this user alone: settings may hold keys.
"""

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.setup.replaced_file import PRIVATE, real_place, replace_file
from mcp_local_llm.values.errors import ConfigError

MAX_BYTES = 16 * 2**20
"""The most bytes of a settings file."""


@dataclass(frozen=True)
class Written:
    """What an earlier `install` left: the bytes before it (None: there was no file), and the hash of those after it."""

    before: bytes | None
    after: str
    folders: tuple[Path, ...] = ()


def read_file(path: Path) -> bytes | None:
    """Return the bytes of a file, None where there is none.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return read_regular(path, MAX_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from error


def missing_folders(path: Path) -> tuple[Path, ...]:
    """Return the folders that `write_file` will make for a file, the innermost first."""
    return tuple(folder for folder in path.resolve().parents if not folder.exists())


def write_file(path: Path, content: bytes) -> None:
    """Replace a file in one step, through a link and with the mode it has; make its folders.

    Raises:
        ConfigError: it cannot be written; the file is as it was.
    """
    try:
        target = real_place(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = target.stat().st_mode & 0o7777 if target.exists() else PRIVATE
        replace_file(target, content, mode)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}.") from error


def remove_file(path: Path, folders: tuple[Path, ...]) -> None:
    """Delete a file, and those of the folders that are empty then.

    Raises:
        ConfigError: it cannot be deleted.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{path} cannot be deleted: {error.strerror or error}.") from error
    for folder in folders:
        # Something else may lie in it by now.
        with contextlib.suppress(OSError):
            folder.rmdir()


class Backups:
    """Keeps, for each client, the file as it was before `install`; `folder` lies in the state folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, client: str, path: Path) -> Written | None:
        """Return what was kept about this file; None where nothing was, or it is damaged."""
        try:
            told = json.loads(read_regular(self._folder / f"{client}.json", MAX_BYTES))
            before = read_regular(self.copy(client), MAX_BYTES) if told["before"] else None
            if before is not None and fingerprint(before) != told["before"]:
                return None
            folders = tuple(Path(folder) for folder in told["folders"])
            return Written(before, told["after"], folders) if told["path"] == str(path) else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def copy(self, client: str) -> Path:
        """Return the path of the copy."""
        return self._folder / f"{client}.before"

    def keep(self, client: str, path: Path, written: Written) -> None:
        """Keep what is needed to undo a change.

        Raises:
            ConfigError: the state folder cannot be written.
        """
        told = {
            "path": str(path),
            "before": None if written.before is None else fingerprint(written.before),
            "after": written.after,
            "folders": [str(folder) for folder in written.folders],
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if written.before is not None:
                replace_file(self.copy(client), written.before)
            replace_file(self._folder / f"{client}.json", json.dumps(told).encode())
        except OSError as error:
            raise ConfigError(f"The backup in {self._folder} cannot be written: {error.strerror or error}.") from error

    def forget(self, client: str) -> None:
        """Delete what was kept."""
        for path in (self._folder / f"{client}.json", self.copy(client)):
            # Something else may have the name by now.
            with contextlib.suppress(OSError):
                path.unlink()
        with contextlib.suppress(OSError):
            self._folder.rmdir()


def fingerprint(content: bytes) -> str:
    """Return a hash that says whether a file is as it was left."""
    return hashlib.sha256(content).hexdigest()
