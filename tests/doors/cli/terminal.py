"""A pseudo-terminal of 80 columns with the program in it, typed into and read by a test."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Generator
from contextlib import contextmanager

from tests.clients import WAIT_S

COMMAND = (sys.executable, "-m", "mcp_local_llm")
ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\x1b[=>78]|\x1b\][^\x07]*\x07")
ROWS, COLUMNS = 24, 80
STEP_S = 30.0
"""Longest wait for one text."""


class Terminal:
    """What a program writes to the terminal, and what is typed there."""

    def __init__(self, process: "subprocess.Popen[bytes]", outer: int) -> None:
        self.process = process
        self.raw = ""
        self._outer = outer
        self._seen = 0

    def type(self, text: str) -> None:
        """Type keys."""
        os.write(self._outer, text.encode())

    def until(self, text: str) -> str:
        """Read until the text appears after what was waited for before; return what came up to it."""
        end = time.monotonic() + STEP_S
        while (found := self.shown.find(text, self._seen)) < 0:
            assert self._read(end), f"{text!r} did not come; there is {self.shown[self._seen :]!r}"
        before, self._seen = self._seen, found + len(text)
        return self.shown[before : self._seen]

    def ended(self) -> int:
        """Read to the end and return the exit code."""
        while self._read(time.monotonic() + WAIT_S):
            pass
        return self.process.wait(WAIT_S)

    def interrupt(self) -> None:
        """Press Ctrl-C as a person does: the terminal sends the signal to its foreground processes."""
        self.type("\x03")

    @property
    def shown(self) -> str:
        """Everything that was written so far, without what moves the cursor and colours; lines are joined."""
        return " ".join(ESCAPES.sub("", self.raw).split())

    def _read(self, end: float) -> bool:
        """Read what is there; False at the end of the program or of the time."""
        if not select.select([self._outer], [], [], max(end - time.monotonic(), 0))[0]:
            return False
        try:
            data = os.read(self._outer, 65_536)
        except OSError:  # Linux says so at the end of a terminal
            return False
        if b"\x1b[6n" in data:
            self.type("\x1b[1;1R")  # asked where the cursor is
        self.raw += data.decode(errors="replace")
        return bool(data)


@contextmanager
def terminal(environ: dict[str, str], *arguments: str) -> Generator[Terminal]:
    """Run the program on a terminal of its own."""
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    def own() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    process = subprocess.Popen(
        [*COMMAND, *arguments],
        env={**environ, "TERM": "xterm"},
        stdin=inner,
        stdout=inner,
        stderr=inner,
        preexec_fn=own,
    )
    os.close(inner)
    try:
        yield Terminal(process, outer)
    finally:
        process.kill()
        process.wait(WAIT_S)
        os.close(outer)
