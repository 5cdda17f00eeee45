"""Caches the models of folders while the files of a folder are unchanged.

Reading a folder parses megabytes of JSON; listing its files takes a tenth of a millisecond. It must not know how a
folder is read.
"""

import os
import time
from collections.abc import Callable, Collection
from pathlib import Path

from mcp_local_llm.values.model import ModelInfo

Stamp = tuple[tuple[str, int, int, int, int], ...]
"""Name, size, time of the last change in nanoseconds, inode and mode of each file of a folder."""

SETTLED_S = 2.0
"""Least age in seconds of a file whose time shows a change: exFAT has the coarsest times, with steps of two seconds.
A folder with a younger file is not cached."""


class FolderCache:
    """Caches the models of each folder. Threads may share it, since an entry is replaced in one step."""

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._known: dict[Path, tuple[object, tuple[ModelInfo, ...]]] = {}

    def models(self, folder: Path, key: object, read: Callable[[], tuple[ModelInfo, ...]]) -> tuple[ModelInfo, ...]:
        """Return the cached models of `folder`, or read it where its files or `key` have changed.

        Args:
            folder: whose own files are compared, without subfolders.
            key: all other values that the models depend on.
            read: reads the folder.
        """
        now = self._clock_ns()
        # Taken before the folder is read, so that a change during the read gives another stamp.
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
        """Remove every folder but these."""
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
