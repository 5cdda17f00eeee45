"""What model folders were found to hold, kept for as long as their files look the same.

Reading a folder parses megabytes of JSON; listing its files takes a tenth of a millisecond. Must not know what is read
from a folder, or why.
"""

import os
import time
from collections.abc import Callable, Collection
from pathlib import Path

from mcp_local_llm.values.model import ModelInfo

Stamp = tuple[tuple[str, int, int, int, int], ...]
"""Name, size, time of the last change in nanoseconds, inode and mode of each file of a folder."""

SETTLED_S = 2.0
"""Age in seconds from which a file's time tells one content from the next: the coarsest clock of a file system in use
is that of exFAT, with two seconds. What was read before is read again."""


class FolderCache:
    """Keeps the models of each folder. Threads may share it: an entry is replaced as a whole."""

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._known: dict[Path, tuple[object, tuple[ModelInfo, ...]]] = {}

    def models(self, folder: Path, key: object, read: Callable[[], tuple[ModelInfo, ...]]) -> tuple[ModelInfo, ...]:
        """Return what `read` returned when `folder` and `key` were as they are now, or let it read.

        Args:
            folder: its own files count, those of the folders in it do not.
            key: everything else that the models depend on.
            read: reads the folder.
        """
        now = self._clock_ns()
        # Taken before the folder is read: a file that changes meanwhile gives another stamp next time.
        stamp = stamp_of(folder)
        earlier = self._known.get(folder)
        if stamp is not None and earlier is not None and earlier[0] == (key, stamp):
            return earlier[1]
        models = read()
        if stamp is not None and all(changed < now - SETTLED_S * 1e9 for _, _, changed, _, _ in stamp):
            self._known[folder] = ((key, stamp), models)
        else:
            self._known.pop(folder, None)
        return models

    def keep(self, folders: Collection[Path]) -> None:
        """Forget every folder but these."""
        for folder in set(self._known) - set(folders):
            self._known.pop(folder, None)


def stamp_of(folder: Path) -> Stamp | None:
    """Return the stamp of a folder's files, links followed and hidden ones left out; None where it cannot be listed."""
    files: list[tuple[str, int, int, int, int]] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                try:
                    status = entry.stat()
                except OSError:
                    files.append((entry.name, -1, 0, 0, 0))  # a link to nothing
                else:
                    files.append((entry.name, status.st_size, status.st_mtime_ns, status.st_ino, status.st_mode))
    except OSError:
        return None
    return tuple(sorted(files))
