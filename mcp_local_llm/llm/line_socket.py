"""Lines over a Unix socket, and the process at its other end as the kernel names it. It knows no verbs.

anyio's own Unix sockets are not used: cancelling a read in the moment in which data arrive leaves an InvalidStateError
in the event loop's log (anyio 4.16, `UNIXSocketStream._wait_until_readable`), and closing is how a verb is cancelled.

Sources of the kernel's part: unix(7) on Linux (`SO_PEERCRED`), unix(4) and <sys/ucred.h> on macOS (`LOCAL_PEERCRED`,
`LOCAL_PEERPID`).
"""

import os
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import anyio
import anyio.lowlevel

BACKLOG = 128
CHUNK = 2**16

_SOL_LOCAL = 0
_LOCAL_PEERCRED = 0x001
_LOCAL_PEERPID = 0x002
_XUCRED = struct.Struct("=IIh2x16I")
"""`struct xucred` of macOS: version, uid, number of groups, groups."""
_XUCRED_VERSION = 0
_UCRED = struct.Struct("=iII")
"""`struct ucred` of Linux: pid, uid, gid."""


class LineTooLongError(Exception):
    """The other end sent more bytes than a line may have."""


class LineSocket:
    """One connection. A read and a write may run at the same time, but no two of a kind."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._buffer = bytearray()

    @classmethod
    def connect(cls, path: Path) -> Self:
        """Connect to the listener at `path`; a Unix socket answers at once or not at all.

        Raises:
            OSError: nobody listens, or its backlog is full.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            connection.connect(os.fspath(path))
        except OSError:
            connection.close()
            raise
        return cls(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    async def send(self, data: bytes) -> None:
        """Send all of `data`.

        Raises:
            OSError: the other end has closed.
        """
        await anyio.lowlevel.checkpoint()
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._connection.send(rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self._connection)

    async def line(self, limit: int) -> bytes:
        """Read one line of at most `limit` bytes; its end is left out.

        Raises:
            EOFError: the other end has closed before the end of a line.
            LineTooLongError: it is longer.
            OSError: the connection is broken.
        """
        looked = 0
        while (end := self._buffer.find(b"\n", looked)) < 0 and len(self._buffer) <= limit:
            looked = len(self._buffer)
            self._buffer += await self._received()
        if not 0 <= end <= limit:
            raise LineTooLongError
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    async def closed(self) -> None:
        """Wait until the other end closes, or sends what nobody expects."""
        try:
            await self._received()
        except (EOFError, OSError):
            return

    async def _received(self) -> bytes:
        while True:
            await anyio.wait_readable(self._connection)
            try:
                data = self._connection.recv(CHUNK)
            except BlockingIOError:
                continue
            if not data:
                raise EOFError
            return data


@dataclass(frozen=True)
class Peer:
    """A process at the other end: its number, and its user's."""

    pid: int
    uid: int


class Listener:
    """The socket at `path` (0600); the folder keeps others out until its mode is set."""

    def __init__(self, path: Path) -> None:
        """Listen.

        Raises:
            OSError: the socket cannot be made.
        """
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.bind(os.fspath(path))
            path.chmod(0o600)
            self._socket.listen(BACKLOG)
            self._socket.setblocking(False)
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    async def accept(self) -> socket.socket:
        """Wait for the next connection.

        Raises:
            OSError: it could not be accepted, for example because no file descriptor is free.
        """
        while True:
            await anyio.wait_readable(self._socket)
            try:
                return self._socket.accept()[0]
            except BlockingIOError:
                continue


def peer_of(connection: socket.socket) -> Peer:
    """Ask the kernel who connected.

    Raises:
        OSError: it does not tell; nobody may be let in then.
    """
    if sys.platform == "darwin":
        version, uid, *_ = _XUCRED.unpack(connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size))
        if version != _XUCRED_VERSION:
            raise OSError(f"struct xucred has version {version}, not {_XUCRED_VERSION}")
        return Peer(connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID), uid)
    pid, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(pid, uid)
