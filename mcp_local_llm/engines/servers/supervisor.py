"""Runs one server and ends it when its owner has exited. A program of its own: it must not import this package.

    python supervisor.py GRACE_S COMMAND [ARGUMENT ...]

The owner holds the other end of our stdin and never writes. However the owner ends, kill -9 included, the kernel closes
that end, and on all systems the reader sees the end of the file: then every process of the server is asked to end
(SIGTERM) and, after the grace, killed. The server's output goes to our stdout; its process id is the one line on our
stderr. Our exit code is the server's.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from types import FrameType

LIFELINE = 0
"""File descriptor whose end of file means that the owner has exited."""
NOT_STARTED = 127
"""Exit code where the command could not be run; that of shells."""
SIGNALLED = 128
"""Added to the number of a signal that ended the server; as shells do."""


def supervise(grace_s: float, command: list[str]) -> int:
    """Run `command` until it ends or the owner exits; return its exit code."""
    awake, wake = os.pipe()
    os.set_blocking(awake, False)
    os.set_blocking(wake, False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Only to be woken: a signal without a handler of Python writes nothing to the pipe.
        signal.signal(number, _woken)
    signal.set_wakeup_fd(wake)
    # A stdin that says nothing and does not end: mlx.launch spins where it is at its end.
    silence, _kept = os.pipe()
    try:
        server = subprocess.Popen(command, stdin=silence, stderr=subprocess.STDOUT, process_group=0)
    except OSError as error:
        os.write(1, f"{error}\n".encode())
        return NOT_STARTED
    with contextlib.suppress(OSError):
        os.write(2, f"{server.pid}\n".encode())
    while server.poll() is None:
        ready, _, _ = select.select([LIFELINE, awake], [], [])
        if (LIFELINE in ready and not os.read(LIFELINE, 1)) or _told_to_end(awake):
            _end(server, awake, grace_s)
    _signal(server, signal.SIGKILL)  # Processes that it left in its group.
    code = server.wait()
    return code if code >= 0 else SIGNALLED - code


def _woken(_number: int, _frame: FrameType | None) -> None:
    """Do nothing; the byte in the pipe carries the number of the signal."""


def _told_to_end(awake: int) -> bool:
    """Whether one of the signals that woke us asks us to end."""
    try:
        return any(number != signal.SIGCHLD for number in os.read(awake, 64))
    except BlockingIOError:
        return False


def _end(server: "subprocess.Popen[bytes]", awake: int, grace_s: float) -> None:
    """Ask the server's processes to end, and kill those that have not after the grace."""
    _signal(server, signal.SIGTERM)
    until = time.monotonic() + grace_s
    while server.poll() is None and (left := until - time.monotonic()) > 0:
        select.select([awake], [], [], left)
        _told_to_end(awake)
    _signal(server, signal.SIGKILL)
    server.wait()


def _signal(server: "subprocess.Popen[bytes]", number: int) -> None:
    # The group may be empty already.
    with contextlib.suppress(OSError):
        os.killpg(server.pid, number)


if __name__ == "__main__":
    sys.exit(supervise(float(sys.argv[1]), sys.argv[2:]))
