"""A file of JSON rows that grows as answers come: each line is whole, whatever ends the process."""

import os
import stat
from collections.abc import Sequence
from contextlib import suppress

from mcp_local_llm.files.writing.atomic_write import opened_folder, require_place, translated, write_all, write_whole
from mcp_local_llm.files.writing.drafts import Draft, occupied
from mcp_local_llm.files.writing.versions import keep_version
from mcp_local_llm.values.errors import FileAccessError


class RowsFile:
    """A file of rows, made with its first row; until then what stood there is as it was.

    Its name is looked at once, so a later swap of the name leads nowhere.

    Args:
        draft: the place, from `Drafts.look_at`.
        begun: rows to begin with, without line ends.
        earlier: rows that the same call made before it ended early; a file of nothing else is its own.
        overwrite: whether another file that is there may be replaced; its content is kept.

    Raises:
        FileAccessError: another file is there, or it cannot be written.
    """

    def __init__(
        self, draft: Draft, begun: Sequence[str] = (), earlier: Sequence[str] = (), *, overwrite: bool = False
    ) -> None:
        self._draft, self._target = draft, draft.target
        self._handle = -1
        old = draft.previous
        self._own = old is not None and _holds_only(old.content, earlier)
        if old is not None and not self._own and not overwrite:
            raise occupied(draft.target.path)
        if begun:
            self._begin(_lines(begun))

    def append(self, row: str) -> None:
        """Write one row onto the disk.

        Args:
            row: a JSON object without a line end in it.

        Raises:
            FileAccessError: it cannot be written; the rows before it are whole.
        """
        assert "\n" not in row, row
        if self._handle < 0:
            self._begin(_lines([row]))
            return
        with translated(self._target):
            whole = os.fstat(self._handle).st_size
            try:
                write_all(self._handle, row.encode() + b"\n")
            except OSError:
                with suppress(OSError):
                    os.ftruncate(self._handle, whole)
                raise

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _begin(self, content: bytes) -> None:
        """Make the file with its first rows, in the place of what stood there."""
        old = self._draft.previous
        kept = None if old is None or self._own else keep_version(self._draft.state, self._target.path, old)
        try:
            write_whole(self._target, content, old)
        except FileAccessError:
            if kept is not None:
                kept.unlink(missing_ok=True)  # Nothing was replaced, so a restore must not find it.
            raise
        with translated(self._target), opened_folder(self._target) as folder:
            flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._handle = os.open(self._target.path.name, flags, dir_fd=folder)
            facts = os.fstat(self._handle)
            require_place(folder, self._target)
            if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1 or facts.st_size != len(content):
                self.close()
                raise FileAccessError(f"{self._target.path} was exchanged just now. Call again.", "changed")


def _holds_only(content: bytes, rows: Sequence[str]) -> bool:
    """Whether a file holds some of these rows and nothing else; a crash may have cut the last one."""
    known = {row.encode() for row in rows}
    *whole, last = content.split(b"\n")
    return bool(known) and known.issuperset(whole) and any(row.startswith(last) for row in known)


def _lines(rows: Sequence[str]) -> bytes:
    return b"".join(row.encode() + b"\n" for row in rows)
