"""Small files that other programs or the user may replace by anything, read so that nothing can block or fill memory.

A FIFO in place of `registry.json` would hold a plain `open` until somebody writes to it, and a thread that waits there
holds up the end of the process. Must not know what stands in a file.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

NOT_REGULAR = "it is not a regular file"


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading in binary mode; never waits for a writer.

    Raises:
        OSError: as `open`; `strerror` says where it is a folder, FIFO, socket or device.
    """
    try:
        # Without O_NONBLOCK, opening a FIFO waits for a writer; O_NOCTTY: a terminal must not become ours.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.EOPNOTSUPP):  # a socket: Linux and macOS
            raise _not_regular(path) from error
        raise
    except ValueError as error:  # a name with a NUL in it
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise _folder(path) if stat.S_ISDIR(mode) else _not_regular(path)
    return os.fdopen(handle, "rb")


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Read a whole file of at most `max_bytes` bytes.

    Raises:
        OSError: as `open_regular`; `strerror` says where the file is longer than that.
    """
    with open_regular(path) as file:
        # One byte more tells a file that is too long, whatever its size was a moment ago.
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {max_bytes:,} bytes", str(path))
    return content


def _folder(path: Path) -> OSError:
    return IsADirectoryError(errno.EISDIR, "it is a folder, not a regular file", str(path))


def _not_regular(path: Path) -> OSError:
    return OSError(errno.EINVAL, NOT_REGULAR, str(path))
