"""Opens small files and locks without blocking and within a size limit. It must not know the content of a file.

The user or another program may replace any of them: a plain `open` of a FIFO in place of `registry.json` would wait for
a writer, and the waiting thread would keep the process from ending.
"""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

NOT_REGULAR = "it is not a regular file"


def open_regular(path: Path) -> BufferedReader:
    """Open a file for reading in binary mode; never waits for a writer.

    Raises:
        OSError: as `open`; `strerror` says where it is a folder, FIFO, socket or device.
    """
    try:
        # Without O_NONBLOCK, opening a FIFO waits for a writer; without O_NOCTTY, a terminal may become controlling.
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


def open_lock_file(path: Path) -> int:
    """Open or make a file to lock, for this user alone; never waits, and follows no link.

    Raises:
        OSError: it cannot be made, or something else has its name.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
    handle = os.open(path, flags, 0o600)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _not_regular(path)
    return handle


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Read a whole file of at most `max_bytes` bytes.

    Raises:
        OSError: as `open_regular`; `strerror` says where the file is longer than that.
    """
    with open_regular(path) as file:
        # One byte more shows that the file is too long, even where it has just grown.
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {max_bytes:,} bytes", str(path))
    return content


def _folder(path: Path) -> OSError:
    return IsADirectoryError(errno.EISDIR, "it is a folder, not a regular file", str(path))


def _not_regular(path: Path) -> OSError:
    return OSError(errno.EINVAL, NOT_REGULAR, str(path))
