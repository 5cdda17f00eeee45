"""Waits for a server that may never answer: one that a signal stopped, or that hangs, as in the middle of its end.

llama-server (commit 0c1e570) that is asked to end while calls run may close its port and wait for ever for a call that
nobody computes, or keep its port, say that it is well, and compute nothing. It must not know models.
"""

# asyncio: a plain task, because a task group would wrap the errors of what is waited for.
import asyncio
from collections.abc import Awaitable
from typing import Self, TypeVar

import anyio

from mcp_local_llm.engines.servers.server_process import ServerProcess

CHECK_S = 1.0
"""Seconds between two checks."""

MAX_FAULTS = 10
"""Checks in a row, without a step of the server in between, that show that it will not answer."""

BUSY_S = 0.05
"""Seconds of processor time that show that a server computes, be it on a GPU; waiting costs less."""

_Result = TypeVar("_Result")


class ServerStoppedError(Exception):
    """A signal has stopped the server (SIGSTOP); the text names its process."""


class ServerHangsError(Exception):
    """The server runs, but will not answer; the text says what it does not do."""


class StopWatch:
    """Waits for the steps of a server, and gives up where none will come; use it as a context.

    Args:
        server: the server.
        port: on loopback, where it listens; None while it starts.
        silence_s: seconds in which a server that computes makes a step, or uses processor time.
    """

    def __init__(self, server: ServerProcess, port: int | None = None, silence_s: float = float("inf")) -> None:
        self._server = server
        self._port = port
        self._silence_s = silence_s
        self._faults = 0
        self._busy_at, self._used = anyio.current_time(), 0.0
        self._error: Exception | None = None
        self._scope = anyio.CancelScope()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def wait(self, step: Awaitable[_Result]) -> _Result:
        """Return the result of a step.

        Raises:
            ServerStoppedError: it has been stopped at `MAX_FAULTS` checks.
            ServerHangsError: its port was closed at as many, or it computed nothing for `silence_s`.
        """
        with anyio.CancelScope() as self._scope:
            if self._error is not None:
                self._scope.cancel()
            result = await step
            self._faults, self._busy_at = 0, anyio.current_time()
            return result
        assert self._error is not None, "the watch has cancelled the step"
        raise self._error

    async def is_closed(self) -> bool:
        """Whether nobody listens on the server's port."""
        if self._port is None:
            return False
        try:
            async with await anyio.connect_tcp("127.0.0.1", self._port):
                return False
        except OSError:
            return True

    async def _watch(self) -> None:
        while self._error is None:
            await anyio.sleep(CHECK_S)
            error = await self._fault()
            self._faults = self._faults + 1 if error else 0
            if self._faults >= MAX_FAULTS:
                self._error = error
            elif self._is_silent():
                self._error = ServerHangsError(f"computed nothing for {self._silence_s:g} s")
        self._scope.cancel()

    async def _fault(self) -> Exception | None:
        if self._server.stopped:
            return ServerStoppedError(f"process {self._server.pid}")
        if self._server.alive and await self.is_closed():
            return ServerHangsError("took no connections")
        return None

    def _is_silent(self) -> bool:
        used, now = self._server.processor_s(), anyio.current_time()
        if used - self._used >= BUSY_S or self._faults:
            self._busy_at, self._used = now, used
        return now - self._busy_at >= self._silence_s
