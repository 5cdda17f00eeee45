"""Rows of a call over many files, on disk as they come, so that the same call goes on where an earlier one ended early.

The same call has the same key; a row is taken up where its file has the content that the row was made from. A finished
call leaves nothing, so that it is computed anew. It must not know what an answer means.
"""

import fcntl
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp_local_llm.files.writing.atomic_write import write_all
from mcp_local_llm.files.writing.state import CALLS, MAX_BYTES, StateFolder
from mcp_local_llm.values.errors import FileAccessError

MAX_AGE_S = 24 * 3600.0
"""Seconds for which the rows of a call that ended early are taken up."""


@dataclass(frozen=True)
class JournalRow:
    """The answer for one file.

    Attributes:
        file: the file's path as the call names it, with its range.
        digest: `content_digest` of what the model read.
        answer: the whole answer.
        made: `content_digest` of the file that the answer became, where that file is the one that was read.
    """

    file: str
    digest: str
    answer: str
    made: str = ""


def call_key(parts: Mapping[str, Any]) -> str:
    """Return the name of a call: a hash over everything that shapes an answer but the contents of the files.

    Args:
        parts: JSON values: model, system, question, template, schema, sampling, thinking, the files' paths and so on.
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def content_digest(content: bytes | str) -> str:
    """Return the digest of a file's content."""
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()


class Journal:
    """The rows of one call. Rows are appended as whole lines; a line that a crash cut is ignored.

    Two equal calls that run at once each have a file, held by a lock that ends with the process.

    Args:
        state: the state folder.
        key: `call_key` of the call.
        must_last: whether the call is refused where its rows cannot be kept; else `fault` says why they are not.

    Raises:
        FileAccessError: the state folder cannot be used.
    """

    def __init__(self, state: StateFolder, key: str, *, must_last: bool = True) -> None:
        self._rows: dict[str, JournalRow] = {}
        self._path, self._handle = None, -1
        self.fault = ""
        try:
            self._path, self._handle = self._begun(state, key)
        except FileAccessError as error:
            if must_last:
                raise
            self.fault = str(error)

    @property
    def rows(self) -> tuple[JournalRow, ...]:
        """The rows of the earlier call and of this one, in the order in which they came."""
        return tuple(self._rows.values())

    def taken_up(self, file: str, digest: str) -> str | None:
        """Return the answer of the earlier call, None where there is none for this content of the file."""
        row = self._rows.get(file)
        return row.answer if row is not None and digest in (row.digest, row.made) else None

    def add(self, row: JournalRow) -> None:
        """Write a row onto the disk.

        Raises:
            FileAccessError: the disk is full; the rows before it stay.
        """
        self._rows.pop(row.file, None)
        self._rows[row.file] = row
        if self._path is None:
            return
        line = json.dumps([row.file, row.digest, row.answer, row.made]).encode() + b"\n"
        whole = os.fstat(self._handle).st_size
        try:
            write_all(self._handle, line)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._handle, whole)
            raise _unusable(self._path, error) from error

    def finish(self) -> None:
        """Remove the rows: the call is complete. Closes the journal."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Keep the rows for the same call later; may be called twice."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _begun(self, state: StateFolder, key: str) -> tuple[Path, int]:
        folder = state.section(CALLS)
        state.prune()
        try:
            return self._opened(folder, key, state.now())
        except OSError as error:
            raise _unusable(folder, error) from error

    def _opened(self, folder: Path, key: str, now: float) -> tuple[Path, int]:
        """Open the file of a call that ended early, else a new one."""
        for path in sorted(folder.glob(f"{key}-*.jsonl")):
            # Something else with such a name, or a file that cannot be read, stays as it is.
            with suppress(OSError):
                handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                if self._take_over(handle, now):
                    return path, handle
        path = folder / f"{key}-{secrets.token_hex(4)}.jsonl"
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(path, flags, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path, handle

    def _take_over(self, handle: int, now: float) -> bool:
        """Lock a file and read its rows; False, with the file closed, where they cannot be taken up."""
        if (content := _locked_content(handle, now)) is None:
            os.close(handle)
            return False
        whole = content.rfind(b"\n") + 1
        for line in content[:whole].split(b"\n"):
            with suppress(ValueError, TypeError, RecursionError):
                row = JournalRow(*map(_text, json.loads(line)))
                self._rows.pop(row.file, None)
                self._rows[row.file] = row
        if whole < len(content):
            os.ftruncate(handle, whole)
        return True


def _locked_content(handle: int, now: float) -> bytes | None:
    """Lock a file and read it; None where a running call holds it, it is too old or long, or no file of rows."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        facts = os.fstat(handle)
        if facts.st_nlink == 0 or now - facts.st_mtime > MAX_AGE_S:
            return None
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > MAX_BYTES:
            return None
        return os.pread(handle, facts.st_size, 0)
    except OSError:
        return None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _unusable(path: Path, error: OSError) -> FileAccessError:
    return FileAccessError(
        f"{path} cannot be written: {error.strerror or error}. Make room there, or name another place with "
        "XDG_STATE_HOME.",
        "state",
    )
