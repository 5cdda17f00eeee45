"""One server as a process: start, output, health check, stop. It must not know models or OpenAI's API."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio
import anyio.to_thread

STOP_GRACE_S = 5.0
"""Seconds between asking a server to end and killing it."""

KEPT_LINES = 40


MAX_LINE = 500
"""Lines of a server's output that are kept, and the bytes of each."""


SIGNALLED = 128
"""Exit codes above this hold the number of the signal that ended the server."""


SHOWN_LINES = 6
"""Lines of the output that a message shows."""


OUTPUT_PAUSE_S = 0.5
"""Seconds without a new line after which the output counts as complete."""


OUTPUT_WAIT_S = 5.0
"""Most seconds to wait for output."""


HEALTH_TIMEOUT_S = 2.0
"""Seconds that a health check may take; a busy server is asked again."""


_ERROR = re.compile(r"\s*[\w.]*(Error|Exception)\b.*:")


class ServerProcess:
    """A running server, its supervisor, and its last lines of output; a failed start shows in these and the exit code.

    Args:
        command: program and arguments; no shell reads them.
        environ: the server's whole environment.
        secret: a text that is removed from the output; empty for none.
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], *, secret: str) -> None:
        program = Path(__file__).with_name("supervisor.py")
        self._supervisor = subprocess.Popen(
            [sys.executable, "-I", "-S", str(program), str(STOP_GRACE_S), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environ),
            # Away from the terminal: Ctrl-C is for us, and we end the server.
            start_new_session=True,
        )
        self._secret = secret
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._heard = 0
        self._group: int | None = None
        self._reader = threading.Thread(target=self._read, name="server-output", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int | None:
        """The number of the server's process, once its supervisor has told it."""
        return self._group

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._supervisor.poll() is None

    @property
    def was_ended(self) -> bool:
        """Whether a signal has ended it, or it has ended in order, as it does where it is asked to."""
        code = self._supervisor.poll()
        return code is not None and (code == 0 or code > SIGNALLED)

    def describe_exit(self) -> str:
        """Describe how it ended, with its last lines."""
        code = self._supervisor.poll()
        if code is None:
            how = "is running"
        else:
            how = f"ended with code {code}" if code <= SIGNALLED else f"was ended by signal {code - SIGNALLED}"
        lines = list(self._lines)
        # The reason may stand before the traceback of something that followed from it.
        said = [line for line in lines[:-SHOWN_LINES] if _ERROR.match(line)][-2:] + lines[-SHOWN_LINES:]
        return (
            f"{how}. Its last lines:\n" + "\n".join(f"  {line}" for line in said) if said else f"{how}, without a word."
        )

    async def wait_for_output(self) -> None:
        """Wait at most `OUTPUT_WAIT_S` for its output: a pipe delivers it later than the event it describes."""
        if not self.alive:
            await anyio.to_thread.run_sync(self._reader.join, OUTPUT_WAIT_S)
            return
        before = 0
        with anyio.move_on_after(OUTPUT_WAIT_S):
            while not before or self._heard > before:
                before = self._heard
                await anyio.sleep(OUTPUT_PAUSE_S)

    @property
    def stopped(self) -> bool:
        """Whether a signal has stopped it."""
        # Imported here: only a server that is waited for is looked at.
        import psutil

        try:
            return self._group is not None and psutil.Process(self._group).status() == psutil.STATUS_STOPPED
        except psutil.Error:
            return False

    def processor_s(self) -> float:
        """Return the seconds of processor time that it has used."""
        import psutil

        try:
            times = psutil.Process(self._group).cpu_times()
        except psutil.Error:
            return 0.0
        return times.user + times.system

    async def ended(self, within_s: float) -> bool:
        """Wait at most `within_s` seconds for its end; return whether it has ended."""
        return await anyio.to_thread.run_sync(self.join, within_s)

    async def stop(self) -> None:
        """End it, and wait until it is gone; a second call does nothing."""
        self.request_stop()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._reap)

    def request_stop(self) -> None:
        """Close its lifeline, as the end of this process does; does not wait."""
        assert self._supervisor.stdin is not None
        with contextlib.suppress(OSError):
            self._supervisor.stdin.close()

    def join(self, seconds: float) -> bool:
        """Wait at most `seconds` for its end; return whether it has ended."""
        self._wait(seconds)
        return not self.alive

    def _wait(self, seconds: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._supervisor.wait(seconds)

    def _reap(self) -> None:
        # The supervisor ends soon after its grace, unless it was stopped by a signal.
        self._wait(2 * STOP_GRACE_S)
        self._supervisor.kill()
        code = self._supervisor.wait()
        if code < 0 and self._group is not None:
            # The supervisor was killed, so it could not end the server.
            with contextlib.suppress(OSError):
                os.killpg(self._group, signal.SIGKILL)
        self._reader.join(STOP_GRACE_S)

    def _read(self) -> None:
        """Keep the server's last lines; runs on a thread of its own, so that a full pipe never blocks the server."""
        told, said = self._supervisor.stderr, self._supervisor.stdout
        assert told is not None
        assert said is not None
        with told:
            pid = told.readline().strip()
            self._group = int(pid) if pid.isdigit() else None
        with said:
            for raw in iter(lambda: said.readline(MAX_LINE), b""):
                self._heard += 1
                line = raw.decode(errors="replace").rstrip()
                if line:
                    self._lines.append(line.replace(self._secret, "***") if self._secret else line)
        self._wait(STOP_GRACE_S)  # At once, so that no dead child stays until the next call looks.


async def health_status(port: int) -> int | None:
    """Return the HTTP status that a server on loopback gives for its health; None where it gives none yet."""
    try:
        with anyio.fail_after(HEALTH_TIMEOUT_S):
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                await stream.send(
                    f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
                )
                head = await stream.receive(64)
    except (OSError, TimeoutError, anyio.EndOfStream, anyio.BrokenResourceError):
        return None
    status = head.split(b" ", 2)[1:2]
    return int(status[0]) if status and status[0][:3].isdigit() and len(status[0]) == 3 else None
