"""Caches the models of folders while the files of a folder are unchanged.

Reading a folder parses megabytes of JSON; listing its files takes a tenth of a millisecond. It must not know how a
folder is read.
"""

import os
import stat
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
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
        self._known: dict[Path, tuple[tuple[object, Stamp], tuple[ModelInfo, ...]]] = {}
        self._last: _Search | None = None

    def models(self, folder: Path, key: object, read: Callable[[], tuple[ModelInfo, ...]]) -> tuple[ModelInfo, ...]:
        """Return the cached models of `folder`, or read it where its files or `key` have changed.

        Args:
            folder: whose files are compared, and those of its subfolders.
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

    def found(self, key: object) -> tuple[ModelInfo, ...] | None:
        """Return the models of the last whole search, unless `key` or a file or folder of it has changed."""
        last = self._last
        unchanged = last is not None and last.key == key and all(_stat(path) == was for path, was in last.stats.items())
        return last.models if last is not None and unchanged else None

    def keep(
        self, key: object, folders: Collection[Path], searched: Collection[Path], models: tuple[ModelInfo, ...]
    ) -> None:
        """Keep the models of a whole search, and remove every folder but these.

        Args:
            key: all values that the search depends on.
            folders: which contain the models.
            searched: folders that were listed to find them.
            models: found in them.
        """
        for folder in set(self._known) - set(folders):
            self._known.pop(folder, None)
        self._last = None
        paths = {str(path) for path in (*folders, *searched)}
        # The revision of a repository is in a file, `refs/main`.
        paths |= {str(path.parent / "refs" / "main") for path in searched if path.name == "snapshots"}
        for folder, (known, _) in self._known.items():
            paths |= {os.path.join(folder, name) for name, *_ in known[1]}
        stats = {path: _stat(path) for path in paths}
        now = self._clock_ns()
        if all(status is None or status[1] < now - SETTLED_S * 1e9 for status in stats.values()):
            self._last = _Search(key, stats, models)


@dataclass(frozen=True)
class _Search:
    """A whole search: its models, and the state of each file and folder that it read, None for a missing one."""

    key: object
    stats: Mapping[str, tuple[int, int, int, int] | None]
    models: tuple[ModelInfo, ...]


def _stat(path: str) -> tuple[int, int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_mode


def stamp_of(folder: Path, *, nested: bool = True) -> Stamp | None:
    """Return the stamp of a folder's files, links followed and hidden ones left out; None where it cannot be listed.

    The files of its subfolders belong to it, where `nested`: GGUF files and variants of the template lie there.
    """
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
                    continue
                files.append((entry.name, status.st_size, status.st_mtime_ns, status.st_ino, status.st_mode))
                if nested and stat.S_ISDIR(status.st_mode):
                    inner = stamp_of(Path(entry.path), nested=False) or ()
                    files += [(f"{entry.name}/{file[0]}", file[1], file[2], file[3], file[4]) for file in inner]
    except OSError:
        return None
    return tuple(sorted(files))
