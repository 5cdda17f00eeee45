"""A client that sees every line: a server process behind real pipes, spoken to in plain JSON-RPC.

The SDK's client hides what must not be there (an answer to a cancelled request, a stray line), so tests of the wire
read the pipe themselves.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process

from tests.clients import WAIT_S

Json = dict[str, Any]
MODERN = "2026-07-28"
LEGACY = "2025-11-25"
CLIENT = {"name": "wire", "version": "1"}


class Wire:
    """One server process; `lines` holds everything it wrote to stdout so far.

    Attributes:
        take: gets each line; a client of many calls puts its own in place, so that nothing is kept or read twice.
    """

    def __init__(self, process: Process, stdout: asyncio.ReadTransport, era: str, errors: Path) -> None:
        self.process = process
        self._stdout = stdout
        self.lines: list[str] = []
        self.take: Callable[[str], None] = self.lines.append
        self._era = era
        self._errors = errors
        self._changed = anyio.Event()
        self._closed = False
        self._next_id = 0

    async def handshake(self) -> None:
        """Open the session as a client of this era does; a client of the era `none` does not."""
        if self._era == "none":
            return
        if self._era == "legacy":
            hello = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": CLIENT}
            await self.answer(await self.request("initialize", hello))
            await self.notify("notifications/initialized", {})
        else:
            await self.answer(await self.request("server/discover", {}))

    async def request(self, method: str, params: Json) -> int:
        """Send a request that wants progress; returns its id."""
        self._next_id += 1
        number = self._next_id  # Another task may send a request of its own meanwhile.
        meta: Json = {"progressToken": number}
        if self._era != "legacy":
            prefix = "io.modelcontextprotocol"
            meta |= {f"{prefix}/protocolVersion": MODERN, f"{prefix}/clientInfo": CLIENT}
            meta |= {f"{prefix}/clientCapabilities": {}}
        await self._send(
            {"id": number, "method": method, "params": {**params, "_meta": meta | params.get("_meta", {})}}
        )
        return number

    async def call(self, tool: str, **arguments: Any) -> int:
        """Call a tool; returns the request's id at once."""
        return await self.request("tools/call", {"name": tool, "arguments": arguments})

    async def cancel(self, request: int) -> None:
        """Give a request up."""
        await self.notify("notifications/cancelled", {"requestId": request, "reason": "test"})

    async def notify(self, method: str, params: Json) -> None:
        """Send a notification."""
        await self._send({"method": method, "params": params})

    async def answer(self, request: int | str) -> Json:
        """Wait for the answer to a request; returns the whole message."""
        await self._until(lambda: bool(self.answers(request)))
        return self.answers(request)[0]

    async def text(self, request: int) -> str:
        """Wait for the answer to a tool call; returns its text."""
        return (await self.answer(request))["result"]["content"][0]["text"]

    async def progress(self, request: int, count: int = 1) -> list[str]:
        """Wait until a request was given so many notifications of progress, or its answer; returns their words."""
        await self._until(lambda: len(self.words(request)) >= count or bool(self.answers(request)))
        return self.words(request)

    def answers(self, request: int | str) -> list[Json]:
        """Return the answers to a request so far."""
        return [message for message in self.messages() if message.get("id") == request]

    def words(self, request: int) -> list[str]:
        """Return the progress of a request so far, in the server's words."""
        notified = (
            message["params"] for message in self.messages() if message.get("method") == "notifications/progress"
        )
        return [params["message"] for params in notified if params["progressToken"] == request]

    def messages(self) -> list[Json]:
        """Return every line as the JSON-RPC message that it must be."""
        assert [line for line in self.lines if not line.startswith('{"jsonrpc":"2.0",')] == []
        return [json.loads(line) for line in self.lines]

    def errors(self) -> str:
        """Return what the process wrote to stderr."""
        return self._errors.read_text(encoding="utf-8")

    async def close_stdin(self) -> None:
        """Go away as a client does that leaves."""
        assert self.process.stdin is not None
        await self.process.stdin.aclose()

    def close_stdout(self) -> None:
        """Stop listening: whatever the server writes from now on fails."""
        self._stdout.close()

    async def vanish(self) -> None:
        """Go away as a client does that was killed: both pipes break."""
        self.close_stdout()
        await self.close_stdin()

    async def ended(self, within: float = WAIT_S) -> int:
        """Wait for the end of the process; returns its exit code."""
        with anyio.fail_after(within):
            return await self.process.wait()

    async def read(self, lines: asyncio.StreamReader) -> None:
        """Collect lines until the pipe ends."""
        rest = b""
        while chunk := await lines.read(2**16):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                self.take(line.decode())
            self._change()
        if rest:
            self.take(rest.decode())
        self._closed = True
        self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _until(self, holds: Callable[[], bool]) -> None:
        with anyio.fail_after(WAIT_S):
            while not holds():
                assert not self._closed, f"the server ended; it said {self.lines[-3:]} and {self.errors()[-2000:]}"
                await self._changed.wait()

    async def _send(self, message: Json) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.send(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


@asynccontextmanager
async def open_wire(
    environ: dict[str, str],
    era: str = "auto",
    command: Sequence[str] = (sys.executable, "-m", "mcp_local_llm"),
) -> AsyncGenerator[Wire]:
    """Start a server process and shake hands with it; what is left of it at the end is killed."""
    # A file of its own for each: several servers may share a home.
    with tempfile.NamedTemporaryFile(dir=environ["HOME"], prefix="stderr-", delete=False) as stderr:
        errors = Path(stderr.name)
        # A pipe of our own: anyio's streams leave it open when they are closed.
        out, into = os.pipe()
        process = await anyio.open_process(command, env=environ, stdin=subprocess.PIPE, stdout=into, stderr=stderr)
        os.close(into)
    lines = asyncio.StreamReader()
    stdout, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(out, "rb", 0)
    )
    wire = Wire(process, stdout, era, errors)
    # A plain task, not a task group: a group would wrap a test's failures.
    reader = asyncio.create_task(wire.read(lines))
    async with process:
        try:
            await wire.handshake()
            yield wire
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
            reader.cancel()
            await asyncio.wait([reader])
            stdout.close()
