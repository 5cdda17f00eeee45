"""uvicorn as a server whose heads are exact: spelling of headers, target and reason are those that came.

ASGI hands over names in small letters and leaves out the reason of a status; both stand in h11's events.
"""

# asyncio: uvicorn's protocol is made of it.
import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

MAX_HEAD = 2**20
"""Bytes of a request's head."""

KEEP_ALIVE_S = 3600
"""Clients close idle connections themselves; whatever this process closes first could meet a request on its way."""


class Wire(h11.Connection):
    """One connection to a client.

    Attributes:
        request: the request in progress, as it came.
        reason: the reason that its response is to have; None where the status has its usual one.
        hold: whether the head of its response waits for the body's first part, which follows at once: one piece wakes
            the client once.
    """

    request: h11.Request
    reason: bytes | None = None
    hold: bool = False
    _held: tuple[bytes, ...] = ()

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return the next event of the client."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self.request, self.reason, self.hold = event, None, False
        return event

    def send_with_data_passthrough(self, event: h11.Event) -> list[bytes] | None:
        """Return the bytes of an event of this side."""
        if isinstance(event, h11.Response) and self.reason is not None:
            headers = event.headers.raw_items()
            event = h11.Response(status_code=event.status_code, headers=headers, reason=self.reason)
        pieces = super().send_with_data_passthrough(event)
        if pieces is not None:
            pieces, self._held = [*self._held, *pieces], ()
            if isinstance(event, h11.Response) and self.hold:
                pieces, self._held = [], tuple(pieces)
        return pieces


class ClientConnection(H11Protocol):
    """uvicorn's connection, which hands its `Wire` to the application as `scope["state"]["wire"]`."""

    def __init__(self, config: uvicorn.Config, state: ServerState) -> None:
        super().__init__(config, state, {})
        self.conn = Wire(h11.SERVER, MAX_HEAD)
        self.app_state = {"wire": self.conn}


@asynccontextmanager
async def serving(app: Application, listener: socket.socket) -> AsyncGenerator[None]:
    """Serve `app` on `listener` for the length of the block; at its end every connection is cut."""
    config = uvicorn.Config(
        app,
        loop="none",
        ws="none",
        lifespan="off",
        # Neither what fails nor what is asked for is to be told to anybody but the client.
        log_config=None,
        log_level=logging.CRITICAL,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: ClientConnection(config, state), sock=listener)
    try:
        yield
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
