"""One connection to a server, in HTTP/1.1 by h11: both directions at once, and every byte as it came.

httpx would take four times the processor's time for a request (1.2 ms against 0.3 ms), and would not read an answer
before the whole request is sent: a server that refuses a large body early would be taken for one that is gone.
"""

# asyncio: its protocols hand over bytes without a task of their own.
import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress

import h11

from mcp_local_llm.agents.forwarder.addresses import Address
from mcp_local_llm.agents.forwarder.body import RequestBody
from mcp_local_llm.agents.forwarder.server import MAX_HEAD

HAPPY_EYEBALLS_S = 0.25
"""Seconds until the next address of a host is tried beside the first (RFC 8305)."""

HIGH_WATER = 2**18
"""Bytes that are received ahead of a client that reads slowly."""

FAILURES = (OSError, h11.RemoteProtocolError)
"""What a connection that fails raises: the operating system's errors, those of TLS among them, and no HTTP."""


class Connection(asyncio.Protocol):
    """One connection, for one exchange after the other."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._conn = h11.Connection(h11.CLIENT, MAX_HEAD)
        self._news, self._writable = asyncio.Event(), asyncio.Event()
        self._writable.set()
        self._unwritten = b""
        self._unread = 0
        self._ended = False
        self._error: Exception | None = None
        self._next: object = None

    @property
    def is_idle(self) -> bool:
        """Whether another request can be sent on it; a server that sends something unasked is about to close it."""
        return self._conn.our_state is h11.IDLE and not self._ended and self._unread == 0

    def is_ready(self) -> bool:
        """Say whether a part of the response is here already."""
        with suppress(h11.RemoteProtocolError):
            # `parts` raises it again, after the head has gone on.
            event = self._conn.next_event()
            self._next = None if event is h11.NEED_DATA else event
        return self._next is not None

    def abort(self) -> None:
        """Close it at once: the server notices that its answer is not wanted."""
        self.transport.abort()

    async def send(self, head: h11.Request, body: RequestBody) -> None:
        """Send a request as its body arrives; `response` tells of its failures, because an answer may be there."""
        with suppress(OSError):
            # One piece with the beginning of the body where that is there, else at once.
            await self._write(head, hold=body.has_arrived)
            async for part in body:
                await self._write(h11.Data(data=part))
            await self._write(h11.EndOfMessage())

    async def response(self) -> h11.Response:
        """Wait for the head of the response, which may come before the request has been sent whole.

        Raises:
            OSError: the connection has ended.
            h11.RemoteProtocolError: what came is not HTTP.
        """
        while not isinstance(event := await self._event(), h11.Response):
            if not isinstance(event, h11.InformationalResponse) or event.status_code == 101:
                raise h11.RemoteProtocolError("an answer to something that was not asked")
        return event

    async def opened(self, head: h11.Request) -> h11.Response:
        """Send a request without a body, and wait for the head of its response. Raises as `response`."""
        await self._write(head)
        await self._write(h11.EndOfMessage())
        return await self.response()

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the body of the response as it arrives. Raises as `response`."""
        while isinstance(event := await self._event(), h11.Data):
            yield bytes(event.data)
        done = self._conn.our_state is h11.DONE and self._conn.their_state is h11.DONE
        if done and not self._conn.trailing_data[0]:
            self._conn.start_next_cycle()
            self._unread = 0

    async def _write(self, event: h11.Event, *, hold: bool = False) -> None:
        self._unwritten += self._conn.send(event) or b""
        if self._unwritten and not hold:
            if self._ended:
                raise ConnectionResetError("the connection was closed")
            self.transport.write(self._unwritten)
            self._unwritten = b""
            await self._writable.wait()

    async def _event(self) -> object:
        while True:
            event, self._next = self._next or self._conn.next_event(), None
            if event is not h11.NEED_DATA:
                return event
            if self._ended:
                self._end_of_data()
            else:
                self._unread = 0
                self.transport.resume_reading()
                self._news.clear()
                await self._news.wait()

    def _end_of_data(self) -> None:
        if self._error is not None:
            raise ConnectionResetError(f"the connection was closed ({self._error})") from self._error
        if self._conn.their_state is h11.SEND_RESPONSE:
            raise ConnectionResetError("the connection was closed before an answer came")
        # The end of a body without a length, or a body that is not whole.
        self._conn.receive_data(b"")

    # asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Take what has arrived; where nobody reads it, no more is taken for now."""
        self._conn.receive_data(data)
        self._unread += len(data)
        if self._unread > HIGH_WATER:
            self.transport.pause_reading()
        self._news.set()

    def eof_received(self) -> None:
        """Notice that the server has ended; the transport closes."""
        self._ended = True
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Notice the end, whoever made it."""
        self._ended, self._error = True, exc
        self._news.set()
        self._writable.set()

    def pause_writing(self) -> None:
        """Let the request wait until the server reads on."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let the request go on."""
        self._writable.set()


async def connected(address: Address, trust: ssl.SSLContext | None) -> Connection:
    """Connect to a server; with `trust` by TLS, and only to a server that can prove its name.

    Raises:
        OSError: it cannot be reached, or the proof fails.
    """
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        Connection, address.host, address.port, ssl=trust, happy_eyeballs_delay=HAPPY_EYEBALLS_S
    )
    return connection


async def tunnelled(proxy: Connection, login: bytes | None, address: Address, trust: ssl.SSLContext) -> Connection:
    """Connect to a server through a proxy that sees nothing but its name.

    Raises:
        OSError: the proxy refuses, or the server's proof fails.
        h11.RemoteProtocolError: the proxy does not speak HTTP.
    """
    target = f"{address.host}:{address.port}".encode()
    headers = [(b"Host", target), *([] if login is None else [(b"Proxy-Authorization", login)])]
    answer = await proxy.opened(h11.Request(method=b"CONNECT", target=target, headers=headers))
    if answer.status_code // 100 != 2:
        raise ConnectionRefusedError(f"the proxy answered {answer.status_code} {answer.reason.decode('latin-1')}")
    loop, connection = asyncio.get_running_loop(), Connection()
    transport = await loop.start_tls(proxy.transport, connection, trust, server_hostname=address.host)
    assert transport is not None
    connection.connection_made(transport)
    return connection
