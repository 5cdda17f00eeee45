"""Waits for a server that may never answer: one that a signal stopped, or one that hangs in the middle of its end.

llama-server (commit 0c1e570) closes its port when it is asked to end, and may then wait for ever for a call that has
just come. It must not know models.
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

_Result = TypeVar("_Result")


class ServerStoppedError(Exception):
    """A signal has stopped the server (SIGSTOP); the text names its process."""


class ServerClosedError(Exception):
    """The server runs, but takes no connections any more."""


class StopWatch:
    """Waits for the steps of a server, and gives up where none will come; use it as a context.

    Args:
        server: the server.
        port: on loopback, where it listens; None while it starts.
    """

    def __init__(self, server: ServerProcess, port: int | None = None) -> None:
        self._server = server
        self._port = port
        self._faults = 0
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
            ServerStoppedError, ServerClosedError: none came, and the server was so at `MAX_FAULTS` checks.
        """
        with anyio.CancelScope() as self._scope:
            if self._error is not None:
                self._scope.cancel()
            result = await step
            self._faults = 0
            return result
        assert self._error is not None, "the watch has cancelled the step"
        raise self._error

    async def _watch(self) -> None:
        while self._error is None:
            await anyio.sleep(CHECK_S)
            error = await self._fault()
            self._faults = self._faults + 1 if error else 0
            if self._faults >= MAX_FAULTS:
                self._error = error
        self._scope.cancel()

    async def _fault(self) -> Exception | None:
        if self._server.stopped:
            return ServerStoppedError(f"process {self._server.pid}")
        if self._port is not None and self._server.alive and await is_closed(self._port):
            return ServerClosedError()
        return None


async def is_closed(port: int) -> bool:
    """Whether nobody listens on a port of loopback."""
    try:
        async with await anyio.connect_tcp("127.0.0.1", port):
            return False
    except OSError:
        return True
