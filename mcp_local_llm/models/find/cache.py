"""Caches the models of folders while the files of a folder are unchanged.

Reading a folder parses megabytes of JSON; listing its files takes a tenth of a millisecond. It must not know how a
folder is read.
"""

import os
import stat
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from mcp_local_llm.values.model import ModelInfo

State = tuple[int, int, int, int]
"""Size, time of the last change in nanoseconds, inode and mode of a file or folder."""

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
        self._last: tuple[object, Mapping[str, State | None], tuple[ModelInfo, ...]] | None = None

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

    def search(self) -> "Search":
        """Begin a whole search."""
        return Search(self._clock_ns())

    def found(self, key: object) -> tuple[ModelInfo, ...] | None:
        """Return the models of the last whole search, unless `key` or a file or folder of it has changed."""
        last = self._last
        unchanged = last is not None and last[0] == key and all(_state(path) == was for path, was in last[1].items())
        return last[2] if last is not None and unchanged else None

    def keep(self, key: object, folders: Collection[Path], search: "Search", models: tuple[ModelInfo, ...]) -> None:
        """Keep the models of a whole search, and remove every folder but these.

        Args:
            key: all values that the search depends on.
            folders: which contain the models.
            search: what it looked at.
            models: found in them.
        """
        for folder in set(self._known) - set(folders):
            self._known.pop(folder, None)
        self._last = (key, search.states, models) if search.settled else None


class Search:
    """The files and folders that one search looks at, each in its state before that, so that a later change is seen."""

    def __init__(self, began_ns: int) -> None:
        self._began_ns = began_ns
        self.states: dict[str, State | None] = {}
        """Path → state; None for a missing file."""

    def look_at(self, path: Path) -> None:
        """Take the state of a file or folder that is read next."""
        self.states.setdefault(str(path), _state(str(path)))

    def look_into(self, folder: Path) -> None:
        """Take the states of a folder's files and those of its subfolders."""
        for name, *state in stamp_of(folder) or ():
            size, changed, inode, mode = state
            self.states.setdefault(os.path.join(folder, name), None if size < 0 else (size, changed, inode, mode))

    @property
    def settled(self) -> bool:
        """Whether every time in it shows a change from now on."""
        states = filter(None, self.states.values())
        return all(changed < self._began_ns - SETTLED_S * 1e9 for _, changed, _, _ in states)


def _state(path: str) -> State | None:
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
