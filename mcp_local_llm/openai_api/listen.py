"""Sockets, and serving on them inside a running event loop: no signal handlers, nothing on stdout.

It knows uvicorn and sockets; what is served is any ASGI application.
"""

import asyncio
import logging
import os
import socket
import stat
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from mcp_local_llm.errors import ConfigError
from mcp_local_llm.openai_api.peer import peer_of

BACKLOG = 128
KEEP_ALIVE_S = 60
"""An idle connection is closed after so many seconds: clients give theirs up sooner (httpx after 5), so that none of
them sends a request into a connection that is being closed."""
GRACE_S = 1
"""Answers get an error when serving ends; connections that still do not close are cut after so many seconds."""

_log = logging.getLogger(__name__)


def bind_unix(path: Path) -> socket.socket:
    """Make the socket at `path` (0600) and listen; a socket that a dead process left there is replaced.

    Whoever calls holds the lease, so nobody alive listens there.

    Raises:
        ConfigError: the folder is not private to this user, or the socket cannot be made.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_private(path.parent)
        path.unlink(missing_ok=True)
        listener.bind(os.fspath(path))
        # Between these two lines the folder keeps others out.
        path.chmod(0o600)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ConfigError(f"The socket {path} cannot be made: {error}.") from error
    except ConfigError:
        listener.close()
        raise
    return listener


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
async def serving(app: ASGIApp, listener: socket.socket, *, uid: int | None = None) -> AsyncGenerator[None]:
    """Serve `app` on `listener` for the length of the block; the socket is closed at the end.

    End what the application is answering first (`Traffic.end`), or it is cut after `GRACE_S`.

    Args:
        app: what is served.
        listener: from `bind_unix` or `bind_tcp`.
        uid: the user whose processes may connect to a Unix socket; None is this process's own.
    """
    server = _Server(_config(app, _protocol_for(os.geteuid() if uid is None else uid)))
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


async def serve_socket(app: ASGIApp, path: Path) -> None:
    """Serve `app` on the Unix socket `path` until cancelled.

    Raises:
        ConfigError: see `bind_unix`.
    """
    listener = bind_unix(path)
    try:
        async with serving(app, listener):
            await anyio.sleep_forever()
    finally:
        path.unlink(missing_ok=True)


def _protocol_for(uid: int) -> type[H11Protocol]:
    """Make HTTP/1.1 that lets only processes of user `uid` in where the socket is a Unix one."""

    class OneUserProtocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            connection: socket.socket = transport.get_extra_info("socket")
            if connection.family != socket.AF_UNIX:
                return
            try:
                peer = peer_of(connection)
            except OSError:
                transport.abort()
                return
            if peer.uid != uid:
                _log.warning("a connection of user %s was refused", peer.uid)
                transport.abort()
                return
            # Where TCP has an address and a port: the request's client, and so the one that status tells.
            self.client = ("unix", peer.pid)

        def data_received(self, data: bytes) -> None:
            # What came in before an aborted connection was gone is not looked at.
            if not self.transport.is_closing():
                super().data_received(data)

    return OneUserProtocol


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers and without its ten looks a second at a flag."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ready = asyncio.Event()
        self._end = asyncio.Event()

    async def listening(self, task: asyncio.Task[None]) -> None:
        """Wait until connections are taken; an error of the start is raised here."""
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


def _config(app: ASGIApp, protocol: type[H11Protocol]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        loop="none",
        lifespan="off",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )


def _require_private(folder: Path) -> None:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise ConfigError(f"{folder} is not a folder that only this user may enter. Remove it.")
