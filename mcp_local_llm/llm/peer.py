"""Who is at the other end of a Unix socket, as the kernel tells it.

Sources: unix(7) on Linux (`SO_PEERCRED`), unix(4) and <sys/ucred.h> on macOS (`LOCAL_PEERCRED`, `LOCAL_PEERPID`).
"""

import socket
import struct
import sys
from dataclasses import dataclass

_SOL_LOCAL = 0
_LOCAL_PEERCRED = 0x001
_LOCAL_PEERPID = 0x002
_XUCRED = struct.Struct("=IIh2x16I")
"""`struct xucred` of macOS: version, uid, number of groups, groups."""
_XUCRED_VERSION = 0
_UCRED = struct.Struct("=iII")
"""`struct ucred` of Linux: pid, uid, gid."""


@dataclass(frozen=True)
class Peer:
    """A process at the other end: its number, and its user's."""

    pid: int
    uid: int


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
