"""Clients of many calls: a session over stdio that sees every line, and one over HTTP; both know what is still open."""

import json
import signal
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread
import httpx

from tests.clients import WAIT_S
from tests.doors.http.test_serve import Served, serve
from tests.wire import Wire, open_wire

PATIENCE_S = 3 * WAIT_S
"""Longest wait for one answer: sixteen calls share a machine that others use as well. Beyond that it hangs."""

Json = dict[str, Any]


@dataclass
class Call:
    """A request, and what came back.

    Attributes:
        asked: it was sent by this client; an answer to any other is one that nobody asked for.
        given_up: the client has cancelled it.
        replies: its answers; there must be one, or none after it was given up.
        late: notifications of progress that came after the answer.
    """

    asked: bool = False
    given_up: bool = False
    replies: list[Json] = field(default_factory=list[Json])
    late: int = 0
    changed: anyio.Event = field(default_factory=anyio.Event)
    beats: int = 0


class StdioSession:
    """An agent's session: one server process over stdio."""

    def __init__(self, wire: Wire, name: str) -> None:
        self.name = name
        self.faults: list[str] = []
        self._wire = wire
        self._calls: dict[int, Call] = {}
        wire.take = self._take

    @property
    def pid(self) -> int:
        return self._wire.process.pid

    async def begin(self, tool: str, arguments: Json) -> int:
        """Send a call; returns its id."""
        number = await self._wire.call(tool, **arguments)
        self._call(number).asked = True
        return number

    async def call(self, tool: str, arguments: Json) -> Json:
        """The result of a tool."""
        number = await self.begin(tool, arguments)
        reply = await self._reply(number)
        assert "result" in reply, reply
        return reply["result"]

    async def given_up(self, tool: str, arguments: Json, after: float) -> Json | None:
        """Cancel a call after so many seconds; returns the result if it was quicker."""
        number = await self.begin(tool, arguments)
        with anyio.move_on_after(after):
            return (await self._reply(number))["result"]
        self._call(number).given_up = True
        await self._wire.cancel(number)
        return None

    async def leave(self) -> None:
        """Go as a client does; the server ends by itself, and has written no traceback."""
        await self._wire.close_stdin()
        code = await self._wire.ended(PATIENCE_S)
        if code or "Traceback" in self._wire.errors():
            self.faults.append(f"{self.name} ended with {code} and said {self._wire.errors()[-2000:]}")

    def account(self) -> None:
        """Look at every call, once all have ended: each has one answer, or none where it was given up."""
        for number, call in self._calls.items():
            count = len(call.replies)
            if not call.asked or count > 1 or (count == 0 and not call.given_up) or call.late:
                self.faults.append(f"{self.name}, call {number}: {count} answers, late progress: {call.late}")
        self._calls.clear()

    async def _reply(self, number: int) -> Json:
        call = self._call(number)
        with anyio.fail_after(PATIENCE_S):
            while not call.replies:
                await call.changed.wait()
        return call.replies[0]

    def _call(self, number: int) -> Call:
        return self._calls.setdefault(number, Call())

    def _take(self, line: str) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            self.faults.append(f"{self.name}: a line that is no JSON: {line[:200]}")
            return
        if message.get("method") == "notifications/progress":
            call = self._call(message["params"]["progressToken"])
            call.late += bool(call.replies)
        elif "id" in message and "method" not in message:
            call = self._call(message["id"])
            call.replies.append(message)
            call.changed.set()


class HttpSession:
    """A program's session: one process that serves HTTP."""

    def __init__(self, served: Served, name: str) -> None:
        self.name = name
        self.faults: list[str] = []
        self.url = served.url.removesuffix("/v1")
        self.said: list[str] = []
        self._served = served
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._served.process.pid

    def client(self) -> httpx.AsyncClient:
        """A new client of it."""
        return httpx.AsyncClient(base_url=self.url, timeout=PATIENCE_S)

    async def leave(self) -> None:
        """End it as `systemd` does; it must not have written a traceback."""
        self._served.process.send_signal(signal.SIGTERM)
        code = await anyio.to_thread.run_sync(self._served.process.wait, PATIENCE_S)
        self._reader.join(WAIT_S)
        if code or "Traceback" in "".join(self.said):
            self.faults.append(f"{self.name} ended with {code} and said {''.join(self.said)[-2000:]}")

    def account(self) -> None:
        """Every request over HTTP has one answer by the protocol itself."""

    def close(self) -> None:
        """End what is left of it."""
        self._served.process.kill()
        self._reader.join(WAIT_S)

    def _read(self) -> None:
        assert self._served.process.stderr is not None
        self.said.extend(self._served.process.stderr)


Session = StdioSession | HttpSession


@asynccontextmanager
async def stdio_session(environ: dict[str, str], name: str) -> AsyncGenerator[StdioSession]:
    """A session over stdio, named in what is told of its faults."""
    async with open_wire(environ) as wire:
        yield StdioSession(wire, name)


@asynccontextmanager
async def http_session(environ: dict[str, str], name: str) -> AsyncGenerator[HttpSession]:
    """A session over HTTP."""
    with serve(environ) as served:
        session = HttpSession(served, name)
        try:
            yield session
        finally:
            session.close()
