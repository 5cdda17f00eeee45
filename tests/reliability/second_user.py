"""What another user of this machine tries: run as root, it becomes that user and prints how each try ended.

It is started with a JSON list of pairs (an action, a path or address), and how often to try all of them.
"""

import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

NOBODY = 65534
HELLO = b'{"protocol": 2, "version": "9.9.9", "verb": "status", "arguments": {}}\n'
ACTIONS = ("read", "write", "replace", "connect")


def read(path: str) -> object:
    return os.listdir(path) if os.path.isdir(path) else Path(path).read_bytes()


def write(path: str) -> object:
    if os.path.isdir(path):
        return Path(path, "planted").write_bytes(b"")
    return os.close(os.open(path, os.O_WRONLY | os.O_APPEND))


def replace(path: str) -> object:
    """Put a link of one's own in the place of a file or folder: first beside it, then in its place."""
    beside = Path(path).with_name(f".{NOBODY}")
    beside.symlink_to(tempfile.gettempdir())
    return beside.rename(path)


def connect(path: str) -> object:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        # The name alone, since the path may be too long.
        os.chdir(os.path.dirname(path))
        client.connect(os.path.basename(path))
        client.sendall(HELLO)
        received = client.recv(100)
        if not received:
            raise ConnectionResetError
        return received


def tried(action: Callable[[str], object], path: str) -> str:
    """Return `refused` where the system or the server refuses it; else what was had."""
    try:
        return f"had {action(path)!r}"[:200]
    except (PermissionError, ConnectionRefusedError, ConnectionResetError, BrokenPipeError):
        return "refused"
    except OSError as error:
        return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    tries: list[tuple[str, str]] = json.loads(sys.argv[1])
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    outcomes = [tried(globals()[action], path) for _ in range(int(sys.argv[2])) for action, path in tries]
    sys.stdout.write(json.dumps(outcomes))
