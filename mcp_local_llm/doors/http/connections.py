"""Limits of the connections over TCP: their number, and how long one may keep the server waiting for a request.

uvicorn takes any number of connections, waits for ever for a request that does not come, and resets a connection whose
request it has not read to the end, so that the client loses the response. It must not know routes.
"""

# asyncio: uvicorn's protocol is made of it.
import asyncio
import json

import anyio
import h11
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from mcp_local_llm.doors.http.error_responses import refusal

MAX_CONNECTIONS = 128
"""One more takes the place of the one that has been silent for the longest time; a process may have 256 open files."""
READ_TIMEOUT_S = 15.0
"""Seconds of silence in the middle of a request, or before the first one, after which its connection is closed."""
REST_TIMEOUT_S, REST_SILENCE_S = 30.0, 2.0
"""Seconds for which the rest of a request is read that was answered already, in all and without a byte."""


class Connection(H11Protocol):
    """One connection; `heard` is the time of its last bytes."""

    _timer: asyncio.TimerHandle | None = None
    heard: float = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take a connection, if need be in the place of another."""
        super().connection_made(transport)
        self.heard = self.loop.time()
        others = [other for other in self.connections if isinstance(other, Connection) and other is not self]
        living: list[Connection] = [other for other in others if not other.transport.is_closing()]
        if len(living) >= MAX_CONNECTIONS:
            waiting = [other for other in living if other.waits]
            if not waiting:
                self._refuse(503, f"{len(living)} connections are open, and no more are taken. Try again later.")
                return
            min(waiting, key=lambda other: other.heard).transport.abort()
        self._set_timer()

    def data_received(self, data: bytes) -> None:
        """Take bytes; what is missing of the request must follow in time."""
        self.heard = self.loop.time()
        super().data_received(data)
        self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self._unset_timer()

    @property
    def waits(self) -> bool:
        """Whether no whole request is there that is still to be answered."""
        incomplete = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        return incomplete or bool(self.cycle and self.cycle.response_complete)

    def _set_timer(self) -> None:
        self._unset_timer()
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY) and not self.transport.is_closing():
            self._timer = self.loop.call_later(READ_TIMEOUT_S, self._time_out)

    def _unset_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        if self.flow.read_paused:
            self._set_timer()
        elif self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.SEND_RESPONSE:
            self._refuse(408, f"Nothing more of the request came for {READ_TIMEOUT_S:.0f} s.")
        else:
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        # Nothing is known of a request that has not begun.
        path: str = self.scope["path"] if self.scope else "/"
        body = json.dumps(refusal(path, status, message).body).encode()
        head = (
            f"HTTP/1.1 {status} \r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close"
        )
        self.transport.write(head.encode() + b"\r\n\r\n" + body)
        self.transport.close()


class WholeRequests:
    """Reads what is left of a request before its response ends: a connection closed before is reset."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, then read the rest."""
        left = True

        async def reading() -> Message:
            nonlocal left
            message = await receive()
            left = message.get("more_body", False)
            return message

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body", False) and left:
                await send({**message, "more_body": True})
                message = {"type": "http.response.body", "body": b""}
                with anyio.move_on_after(REST_TIMEOUT_S):
                    while left:
                        with anyio.move_on_after(REST_SILENCE_S) as silence:
                            await reading()
                        if silence.cancelled_caught:
                            break
            await send(message)

        await self._app(scope, reading, sending)
