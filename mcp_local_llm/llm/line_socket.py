"""Sends and reads lines over a Unix socket, and identifies the process at the other end. It must not know verbs.

anyio's own Unix sockets are not used: cancelling a read at the moment when data arrive leaves an InvalidStateError
in the event loop's log (anyio 4.16, `UNIXSocketStream._wait_until_readable`), and closing is how a verb is cancelled.

Sources for the identification: unix(7) on Linux (`SO_PEERCRED`), unix(4) and <sys/ucred.h> on macOS (`LOCAL_PEERCRED`,
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
    """One connection. One read and one write may run concurrently, but not two reads or two writes."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._buffer = bytearray()

    @classmethod
    def connect(cls, path: Path) -> Self:
        """Connect to the listener at `path`, without waiting.

        Raises:
            OSError: no process listens, or the backlog is full.
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
        """Read one line of at most `limit` bytes; return it without its newline.

        Raises:
            EOFError: the other end has closed before the end of a line.
            LineTooLongError: the line is longer.
            OSError: the connection is broken.
        """
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0 and len(self._buffer) <= limit:
            searched = len(self._buffer)
            self._buffer += await self._received()
        if not 0 <= end <= limit:
            raise LineTooLongError
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    async def closed(self) -> None:
        """Wait until the other end closes, or sends data after its line."""
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
    """The process at the other end: process id and user id."""

    pid: int
    uid: int


class Listener:
    """The listening socket at `path` (mode 0600); until its mode is set, the folder keeps other users out."""

    def __init__(self, path: Path) -> None:
        """Make the socket and listen.

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
    """Return the process at the other end, as the kernel reports it.

    Raises:
        OSError: the kernel does not report it; the connection must then be refused.
    """
    if sys.platform == "darwin":
        version, uid, *_ = _XUCRED.unpack(connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size))
        if version != _XUCRED_VERSION:
            raise OSError(f"struct xucred has version {version}, not {_XUCRED_VERSION}")
        return Peer(connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID), uid)
    pid, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(pid, uid)
