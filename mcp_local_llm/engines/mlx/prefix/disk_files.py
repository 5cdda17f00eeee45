"""The files in which prefixes lie on the disk: found by their tokens, bounded in bytes, open to this user alone.

It knows files, not MLX. A file is what mlx-lm's `save_prompt_cache` writes, safetensors with the tokens in their
metadata, so looking for a prompt reads headers only. It is named after the checksum of what is in it: one that was cut
off, or changed by the disk, is found out before a byte of it is used. Several processes may share the folder, so any
file may vanish at any moment.
"""

import base64
import errno
import json
import os
import stat
import tempfile
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mcp_local_llm.engines.mlx.prompt.common_prefix import alike
from mcp_local_llm.setup.regular_file import open_regular

SUFFIX = ".safetensors"
UNFINISHED = ".part"
STALE_S = 3600
"""Seconds without a write after which an unfinished file was left by a process that is gone."""

MAX_HEADER_BYTES = 64 * 2**20
"""A million tokens take 6 MB of a header; a longer one is none of ours."""

PIECE_BYTES = 16 * 2**20
"""Bytes read or written between two checks for cancellation: about 0.02 s on an SSD."""

TOKEN_BYTES = 4
LEAST_SHARE = 0.5
"""How much of a file must be of use: the whole of it is read, and checked, whatever is then cut away."""


class WriteCancelled(Exception):
    """A command arrived while a file was being written."""


@dataclass(frozen=True)
class PrefixFile:
    """A prefix on the disk.

    Attributes:
        key: its tokens, as 32-bit numbers in this machine's byte order.
        trimmable: its caches can be cut back, so it serves what begins like it; else only what continues it.
        kind: the kind of its end (see `checkpoints.CheckpointKind`).
    """

    path: Path
    key: bytes
    trimmable: bool
    kind: str

    @property
    def length(self) -> int:
        """How many tokens it holds."""
        return len(self.key) // TOKEN_BYTES

    def serves(self, key: bytes, limit: int) -> int:
        """Count the first tokens of `key`, up to `limit`, that are worth reading from this file."""
        shared = alike(self.key, key) // TOKEN_BYTES
        if not self.trimmable:
            return shared if shared == self.length <= limit else 0
        length = min(shared, limit)
        return length if length >= LEAST_SHARE * self.length else 0

    def superseded_by(self, key: bytes) -> bool:
        """Whether a file of the tokens `key`, trimmable as this one, can serve everything that this one can."""
        return self.trimmable and key.startswith(self.key) and len(self.key) >= LEAST_SHARE * len(key)


def metadata_of(key: bytes, *, trimmable: bool, kind: str) -> dict[str, str]:
    """Write down what `PrefixFile` says, as metadata for `save_prompt_cache`."""
    return {"tokens": base64.b64encode(key).decode(), "trimmable": str(trimmable), "kind": kind}


class PrefixFiles:
    """The files of one model, in a folder of `root`; `limit_bytes` bounds what all folders of `root` hold together."""

    def __init__(self, root: Path, name: str, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._root = root
        self._folder = root / name
        self._known: dict[str, PrefixFile] = {}

    def known(self) -> list[PrefixFile]:
        """Look into the folder; a file that is none of ours is removed.

        Raises:
            OSError: the folder is not ours alone, or cannot be read.
        """
        self._refuse_foreign()
        try:
            names = [entry.name for entry in os.scandir(self._folder) if entry.name.endswith(SUFFIX)]
        except FileNotFoundError:
            names = []
        # What a name stands for never changes: it is made of the contents.
        known = {name: self._known.get(name) or self._read(self._folder / name) for name in names}
        self._known = {name: file for name, file in known.items() if file is not None}
        return [*self._known.values()]

    def intact(self, file: PrefixFile) -> bool:
        """Whether the file still holds what was written.

        Raises:
            OSError: it cannot be read.
        """
        checksum, piece = 0, bytearray(PIECE_BYTES)
        with open_regular(file.path) as source:
            while count := source.readinto(piece):
                checksum = zlib.crc32(memoryview(piece)[:count], checksum)
        return file.path.name == _name(checksum)

    def write(self, nbytes: int, save: Callable[[Any], None], cancelled: Callable[[], bool]) -> None:
        """Write a file through `save`, which takes something to write into; those used longest ago make room for it.

        Args:
            nbytes: what it will take, at most.
            save: called once.
            cancelled: asked for every `PIECE_BYTES`.

        Raises:
            WriteCancelled: `cancelled` said so; nothing is left behind, as after any other error.
            OSError: the disk is full, or the folder cannot be written or is not ours alone.
        """
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._refuse_foreign()
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._make_room(nbytes)
        # For this user only, as mkstemp makes it.
        handle, temporary = tempfile.mkstemp(dir=self._folder, suffix=UNFINISHED)
        try:
            with os.fdopen(handle, "wb") as file:
                sink = _ChecksummedFile(file, cancelled)
                save(sink)
            Path(temporary).replace(self._folder / _name(sink.checksum))
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def used(self, file: PrefixFile) -> None:
        """Remember that the file was of use just now."""
        with suppress(OSError):
            os.utime(file.path)

    def remove(self, file: PrefixFile) -> None:
        """Remove a file that is of no use."""
        _remove(file.path)

    def _make_room(self, nbytes: int) -> None:
        """Remove what was used longest ago, of all models, until `nbytes` more keep to the limit."""
        files: list[tuple[float, int, Path]] = []
        for path in self._root.glob("*/*"):
            with suppress(OSError):
                status = path.stat()
                # Also one from the future: the clock was put back meanwhile.
                if path.suffix == UNFINISHED and abs(time.time() - status.st_mtime) > STALE_S:
                    _remove(path)
                else:
                    files.append((status.st_mtime, status.st_size, path))
        held = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if held + nbytes <= self.limit_bytes:
                break
            if path.suffix == SUFFIX:
                _remove(path)
                held -= size
        for folder in self._root.iterdir():
            if folder != self._folder:
                # Only goes where it is empty.
                with suppress(OSError):
                    folder.rmdir()

    def _refuse_foreign(self) -> None:
        """Refuse a folder that another user can read or write."""
        try:
            status = self._root.lstat()
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise OSError(errno.EPERM, "is not a folder that only this user can enter; remove it", str(self._root))

    def _read(self, path: Path) -> PrefixFile | None:
        """Read a file's header; one that has none of ours is removed."""
        try:
            with open_regular(path) as file:
                size = int.from_bytes(file.read(8), "little")
                if size > MAX_HEADER_BYTES:
                    raise ValueError("no header")
                # mlx-lm flattens a list of three: our metadata, the classes, and which values are no arrays.
                metadata: dict[str, str] = json.loads(file.read(size))["__metadata__"]
            key = base64.b64decode(metadata["0.tokens"], validate=True)
            return PrefixFile(path, key, metadata["0.trimmable"] == str(True), metadata["0.kind"])
        except OSError:
            return None  # It is gone, or no file, or too many files are open: nothing says that it is damaged.
        except (ValueError, LookupError, TypeError, RecursionError):
            _remove(path)
            return None


class _ChecksummedFile:
    """A file for MLX to write in order, with its checksum; MLX uses `write`, `seek`, `tell` and `closed`."""

    closed = False

    def __init__(self, file: BinaryIO, cancelled: Callable[[], bool]) -> None:
        self.checksum = 0
        self.seek = file.seek
        self.tell = file.tell
        self._file = file
        self._cancelled = cancelled

    def write(self, data: memoryview) -> int:
        for start in range(0, len(data), PIECE_BYTES):
            if self._cancelled():
                raise WriteCancelled
            piece = data[start : start + PIECE_BYTES]
            self.checksum = zlib.crc32(piece, self.checksum)
            self._file.write(piece)
        return len(data)


def _name(checksum: int) -> str:
    return f"{checksum:08x}{SUFFIX}"


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
