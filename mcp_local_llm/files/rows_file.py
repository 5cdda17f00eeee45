"""A file of JSON rows that grows as answers come: each line is whole, whatever ends the process."""

import os
import stat
from collections.abc import Sequence
from contextlib import suppress

from mcp_local_llm.files.atomic_write import opened_folder, require_place, translated, write_all, write_whole
from mcp_local_llm.files.drafts import Draft
from mcp_local_llm.files.versions import keep_version
from mcp_local_llm.values.errors import FileAccessError


class RowsFile:
    """An open file of rows. Its name is looked at once, so a later swap of the name leads nowhere.

    Args:
        draft: the place, from `Drafts.look_at`.
        earlier: lines without their ends that the same call wrote before it ended early, in their order.
        overwrite: whether another file that is there may be replaced; its content is kept.

    Raises:
        FileAccessError: another file is there, or it cannot be written.
    """

    def __init__(self, draft: Draft, earlier: Sequence[str] = (), *, overwrite: bool = False) -> None:
        self._target = draft.target
        old = draft.previous
        begun = b"".join(line.encode() + b"\n" for line in earlier)
        # The last row may be on disk in part, or not yet.
        own = old is not None and bool(begun) and begun.startswith(old.content)
        if old is not None and not own:
            if not overwrite:
                raise FileAccessError(
                    f"{draft.target.path} exists. Name another path, or call again with overwrite=true; the old "
                    "version is kept.",
                    "exists",
                )
            keep_version(draft.state, draft.target.path, old)
        write_whole(draft.target, begun, old)
        with translated(self._target), opened_folder(self._target) as folder:
            flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._handle = os.open(self._target.path.name, flags, dir_fd=folder)
            facts = os.fstat(self._handle)
            require_place(folder, self._target)
            if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1 or facts.st_size != len(begun):
                self.close()
                raise FileAccessError(f"{self._target.path} was exchanged just now. Call again.", "changed")

    def append(self, row: str) -> None:
        """Write one row onto the disk.

        Args:
            row: a JSON object without a line end in it.

        Raises:
            FileAccessError: it cannot be written; the rows before it are whole.
        """
        assert "\n" not in row, row
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
