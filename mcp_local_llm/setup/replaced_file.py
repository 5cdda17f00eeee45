"""Replaces a small file in one step: a reader, or a crash, finds the old one or the new one whole."""

import errno
import os
import tempfile
from pathlib import Path

PRIVATE = 0o600
"""The mode of a file that is for this user alone."""


def real_place(path: Path) -> Path:
    """Return the file that a path leads to, so that a link to it stays a link; the file may be missing.

    Raises:
        OSError: the link leads to something that is no regular file, such as a device, or leads in a circle.
    """
    target = Path(os.path.realpath(path))
    if target.is_symlink() or (target != path and target.exists() and not target.is_file()):
        raise OSError(errno.EINVAL, "it is a link to something that is no file", str(path))
    return target


def replace_file(path: Path, content: bytes, mode: int = PRIVATE, *, durable: bool = True) -> None:
    """Write a file beside `path` and rename it; `path` must be no link.

    `durable` waits until the content is on the disk; without it a power cut may lose it, in favour of speed.

    Raises:
        OSError: it cannot be written; the old file is as it was.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
