"""The state folder: what calls leave behind, for this user only, within bounds. It must not know what a file holds."""

import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mcp_local_llm.setup.replaced_file import replace_file
from mcp_local_llm.values.errors import FileAccessError

MAX_BYTES = 500_000_000
"""Bytes that are kept in all; the oldest files go first."""

MAX_AGE_S = 30 * 24 * 3600.0
"""Seconds for which a file is kept."""

VERSIONS, REPLACED, ANSWERS, CALLS = "versions", "replaced", "answers", "calls"
SECTIONS: Sequence[str] = (VERSIONS, REPLACED, ANSWERS, CALLS)
"""Folders: files before a draft replaced them; drafts before a restore did; long answers; rows of unfinished calls."""


@dataclass(frozen=True)
class StateSize:
    """How many files there are, and their bytes."""

    files: int
    size_bytes: int


@dataclass(frozen=True)
class _Kept:
    path: Path
    size: int
    changed: float


class StateFolder:
    """The folder of this user's kept files; folders have mode 0700 and files 0600.

    Args:
        path: the folder; it is made with the first file.
        now: seconds since the epoch.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self.path = path
        self.now = now

    def section(self, name: str) -> Path:
        """Return the folder of a section, which nobody else can enter.

        Raises:
            FileAccessError: it cannot be made, or belongs to somebody else.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for folder in (self.path, self.path / name):
                with suppress(FileExistsError):
                    folder.mkdir(mode=0o700)
                facts = folder.stat() if folder == self.path else folder.lstat()
                if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
                    raise FileAccessError(f"{folder} is no folder of this user. Move it away.", "state")
                if facts.st_mode & 0o077:
                    folder.chmod(0o700)
        except OSError as error:
            raise self._failure(error) from error
        return self.path / name

    def keep(self, section: str, name: str, content: bytes) -> Path:
        """Write a file onto the disk, and remove the oldest ones beyond the bounds.

        Args:
            section: one of `SECTIONS`.
            name: the file's name; where it exists, it is replaced at once.
            content: the whole content.

        Raises:
            FileAccessError: it cannot be written, or is larger than everything may be.
        """
        if len(content) > MAX_BYTES:
            raise FileAccessError(f"{len(content):,} bytes are more than the state folder keeps.", "state")
        kept = self.section(section) / name
        try:
            replace_file(kept, content)
        except OSError as error:
            raise self._failure(error) from error
        self.prune(kept)
        return kept

    def keep_answer(self, name: str, text: str, ending: str = ".txt") -> Path:
        """Keep a text that is too long for an answer, under a name of its own; raises as `keep`."""
        stem = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)[:40].lstrip(".")
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(self.now()))
        full = f"{stamp}-{stem or 'answer'}-{secrets.token_hex(3)}{ending}"
        return self.keep(ANSWERS, full, text.encode("utf-8", "replace"))

    def size(self) -> StateSize:
        """Count what is kept; writes nothing."""
        kept = [*self._kept()]
        return StateSize(len(kept), sum(file.size for file in kept))

    def prune(self, spared: Path | None = None) -> None:
        """Remove files that are too old, and the oldest of too many bytes, but never `spared`."""
        oldest_first = sorted(self._kept(), key=lambda file: file.changed)
        total = sum(file.size for file in oldest_first)
        for file in oldest_first:
            if file.path != spared and (total > MAX_BYTES or self.now() - file.changed > MAX_AGE_S):
                with suppress(OSError):  # Another process removed it.
                    file.path.unlink()
                total -= file.size

    def clean(self) -> StateSize:
        """Remove everything that is kept, and return how much that was.

        Raises:
            FileAccessError: something cannot be removed.
        """
        removed = self.size()
        try:
            for section in SECTIONS:
                with suppress(FileNotFoundError):
                    shutil.rmtree(self.path / section)
        except OSError as error:
            raise self._failure(error) from error
        return removed

    def _kept(self) -> Iterator[_Kept]:
        for section in SECTIONS:
            # What this user may not look at is neither counted nor removed.
            with suppress(OSError), os.scandir(self.path / section) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):
                        facts = entry.stat(follow_symlinks=False)
                        yield _Kept(Path(entry.path), facts.st_size, facts.st_mtime)

    def _failure(self, error: OSError) -> FileAccessError:
        return FileAccessError(
            f"The state folder {self.path} cannot be used: {error.strerror or error}. "
            "Mend that, or name another with XDG_STATE_HOME.",
            "state",
        )
