"""A client that chooses what it reads: a server process behind plain pipes, for what `tests.wire` never does."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.clients import WAIT_S
from tests.wire import CLIENT, LEGACY

Json = dict[str, Any]
COMMAND = (sys.executable, "-m", "mcp_local_llm")
HELLO: Json = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": CLIENT}
FEW_FILES = ("/bin/sh", "-c", f"ulimit -n 256; exec {sys.executable} -m mcp_local_llm")
"""A server with as many open files as macOS allows a program."""
GREETING = "Hello! How can I help you today?"
"""The built-in model's answer to Hello."""


class RawClient:
    """Speaks the older protocol, which has pings. It reads only while it waits for an answer."""

    def __init__(self, process: "subprocess.Popen[bytes]", errors: Path) -> None:
        self.process = process
        self.answered: dict[Any, Json] = {}
        self._errors = errors
        self._sent = 0
        self._rest = b""

    def request(self, method: str, **params: Any) -> tuple[int, bytes]:
        """The number and the line of one more request."""
        self._sent += 1
        return self._sent, line({"id": self._sent, "method": method, "params": params})

    def call(self, tool: str, **arguments: Any) -> tuple[int, bytes]:
        """The number and the line of a call that wants progress."""
        return self.request("tools/call", name=tool, arguments=arguments, _meta={"progressToken": self._sent + 1})

    def send(self, data: bytes) -> None:
        """Write bytes; waits where the server does not read."""
        assert self.process.stdin
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send_meanwhile(self, data: bytes) -> None:
        """Write bytes on a thread, as a client does that reads at the same time."""
        threading.Thread(target=self.send, args=(data,), daemon=True).start()

    def send_what_fits(self, lines: Iterable[bytes]) -> None:
        """Write lines until the server has not read for a while: it waits for this client, which reads nothing."""
        assert self.process.stdin
        os.set_blocking(self.process.stdin.fileno(), False)
        for data in lines:
            if not select.select([], [self.process.stdin], [], 1.0)[1]:
                break
            self.process.stdin.write(data)

    def answers(self, requests: Iterable[object]) -> list[Json]:
        """Read until each of these requests has its one answer."""
        wanted = list(requests)
        missing = set(wanted) - set(self.answered)
        end = time.monotonic() + WAIT_S
        while missing:
            for message in self._read(end):
                if "method" in message:
                    continue
                number = message["id"]
                assert not isinstance(number, int) or number not in self.answered, f"a second answer: {message}"
                self.answered[number] = message
                missing.discard(number)
        return [self.answered[number] for number in wanted]

    def text(self, tool: str, **arguments: Any) -> str:
        """Call a tool; returns the text of its answer."""
        number, data = self.call(tool, **arguments)
        self.send(data)
        return text_of(self.answers([number])[0])

    def status(self) -> Json:
        """Return the numbers of the status."""
        number, data = self.call("status")
        self.send(data)
        return self.answers([number])[0]["result"]["structuredContent"]

    def hello(self) -> None:
        """Ask the model; its answer is the right one."""
        assert self.text("chat", message="Hello") == GREETING

    def close_stdin(self) -> None:
        """Send nothing more."""
        assert self.process.stdin
        self.process.stdin.close()

    def ended(self, within: float = WAIT_S) -> int:
        """Wait for the end of the process; returns its exit code."""
        return self.process.wait(within)

    def errors(self) -> str:
        """Return what the process wrote to stderr."""
        return self._errors.read_text(encoding="utf-8", errors="replace")

    def _read(self, end: float) -> list[Json]:
        """Return the messages that came at once, and wait for the first."""
        assert self.process.stdout
        while b"\n" not in self._rest:
            assert select.select([self.process.stdout], [], [], max(end - time.monotonic(), 0))[0], self.errors()
            data = os.read(self.process.stdout.fileno(), 2**20)
            assert data, f"the server ended: {self.errors()[-2000:]}"
            self._rest += data
        *lines, self._rest = self._rest.split(b"\n")
        return [json.loads(one) for one in lines]


def line(message: Json) -> bytes:
    """A message as it stands on the wire."""
    return json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"


def text_of(answer: Json) -> str:
    """The text of the answer to a call, or of its error."""
    return answer["result"]["content"][0]["text"] if "result" in answer else answer["error"]["message"]


@contextmanager
def raw_client(environ: dict[str, str], command: Sequence[str] = COMMAND) -> Generator[RawClient]:
    """Start a server and shake hands; what is left of it at the end is killed."""
    with tempfile.NamedTemporaryFile(dir="/tmp", prefix="stderr-") as errors:
        process = subprocess.Popen(
            command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0
        )
        client = RawClient(process, Path(errors.name))
        try:
            hello, data = client.request("initialize", **HELLO)
            client.send(data + line({"method": "notifications/initialized"}))
            client.answers([hello])
            yield client
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            process.wait(WAIT_S)
            for pipe in (process.stdout, process.stdin):
                assert pipe
                pipe.close()


def busy(client: RawClient) -> int:
    """How many calls are running or waiting."""
    status = client.status()
    return status["calls_running"] + status["waiting"]


def until(holds: Callable[[], bool]) -> None:
    """Ask until it is so."""
    end = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end
