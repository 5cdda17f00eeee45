"""Opens sockets and serves any ASGI application inside a running event loop. It must not know routes.

uvicorn runs without its signal handlers and writes nothing to stdout.
"""

# asyncio: uvicorn is made of it, and its server must end in order, outside of any cancel scope.
import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import anyio
import uvicorn
from starlette.types import ASGIApp

from mcp_local_llm.doors.http.connections import Connection, WholeRequests
from mcp_local_llm.values.errors import ConfigError

BACKLOG = 128
KEEP_ALIVE_S = 60
"""An idle connection is closed after so many seconds: clients give theirs up sooner (httpx after 5), so that none of
them sends a request into a connection that is being closed."""
CLOSE_TIMEOUT_S = 1
"""Answers get an error when serving ends; connections that still do not close are cut after so many seconds."""

_log = logging.getLogger(__name__)


def bind_tcp(host: str, port: int) -> socket.socket:
    """Listen on `host`; port 0 takes any that is free.

    Raises:
        ConfigError: there is no such address on this machine, or the port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"{host} is no address to listen on: {error}.") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ConfigError(f"Port {port} of {host} cannot be had: {error}. Choose another with --port.") from error
    return listener


@asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket) -> AsyncGenerator[None]:
    """Serve `app` on `listener` for the length of the block; the socket is closed at the end.

    End what the application is answering first (`InFlightAnswers.end`), or it is cut after `CLOSE_TIMEOUT_S`.

    """
    server = _Server(_config(app))
    # A plain task, not a task group: when the block is cancelled, the server must still end in order.
    task = asyncio.create_task(server.serve([listener]))
    try:
        await server.listening(task)
        yield
    finally:
        server.end()
        with anyio.CancelScope(shield=True):
            await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the server ended with an error: %s", error)
        # uvicorn has closed it already, unless its start failed.
        listener.close()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers and without polling a flag ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ready = asyncio.Event()
        self._end = asyncio.Event()

    async def listening(self, task: asyncio.Task[None]) -> None:
        """Wait until connections are accepted; raises the error of a failed start."""
        waiting = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait([waiting, task], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if task.done():
            task.result()

    def end(self) -> None:
        """Ask it to end."""
        self.should_exit = True
        self._end.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        self._ready.set()
        await self._end.wait()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        WholeRequests(app),
        http=Connection,
        # Requests over HTTP are all that reaches the application; `AccessGuard` looks for nothing else.
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=CLOSE_TIMEOUT_S,
    )
