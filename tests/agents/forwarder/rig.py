"""What the tests of the forwarder share: servers that show every byte of a connection, and plain clients."""

import json
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import h11
from anyio.abc import ByteStream, SocketAttribute, TaskStatus
from anyio.streams.tls import TLSListener

from mcp_local_llm.agents.forwarder.launched import forwarder, new_key
from mcp_local_llm.agents.forwarder.order import ForwarderOrder
from tests.clients import WAIT_S

OURS = "local-llm"
OTHER = "claude-opus-5-5"
LOGIN = "the-users-own-login"
DOOR_KEY = "key-of-the-door"
PATH = "/v1/messages?beta=true"

Answer = Callable[["Peer"], Awaitable[None]]


@dataclass
class Peer:
    """One connection to a server of a test, in HTTP/1.1.

    Attributes:
        stream: the connection.
        request: the request in progress.
    """

    stream: ByteStream
    conn: h11.Connection = field(default_factory=lambda: h11.Connection(h11.SERVER))
    request: h11.Request | None = None

    async def event(self) -> h11.Event | type[h11.PAUSED]:
        """The next event of the client."""
        while (event := self.conn.next_event()) is h11.NEED_DATA:
            try:
                self.conn.receive_data(await self.stream.receive())
            except anyio.EndOfStream:
                self.conn.receive_data(b"")
        assert not isinstance(event, type) or event is h11.PAUSED
        return event

    async def body(self) -> bytes:
        """The body of the request, to its end."""
        parts: list[bytes] = []
        while isinstance(event := await self.event(), h11.Data):
            parts.append(bytes(event.data))
        return b"".join(parts)

    async def send(self, *events: h11.Event) -> None:
        for event in events:
            if sent := self.conn.send(event):
                await self.stream.send(sent)

    async def answer(self, status: int, headers: list[tuple[str, str]], body: bytes, reason: str = "") -> None:
        """Answer whole."""
        head = h11.Response(status_code=status, headers=headers, reason=reason.encode())
        await self.send(head, h11.Data(data=body), h11.EndOfMessage())

    async def closed(self) -> None:
        """Wait for the end of the connection."""
        try:
            while True:
                await self.stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            pass


@dataclass
class ShownServer:
    """A server, its address, how it answers, and the heads of the requests that it got."""

    url: str
    answer: Answer
    requests: list[h11.Request] = field(default_factory=list[h11.Request])

    def headers(self, number: int = -1) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.requests[number].headers}


@asynccontextmanager
async def server(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncGenerator[ShownServer]:
    """Serve on a port of this machine; `answer` is called for each request with its head read."""

    async def connection(stream: ByteStream) -> None:
        peer = Peer(stream)
        async with stream:
            try:
                while isinstance(event := await peer.event(), h11.Request):
                    peer.request = event
                    served.requests.append(event)
                    await served.answer(peer)
                    if peer.conn.our_state is not h11.DONE or peer.conn.their_state is not h11.DONE:
                        return
                    peer.conn.start_next_cycle()
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, h11.RemoteProtocolError):
                pass

    tcp = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = tcp.extra(SocketAttribute.local_port)
    listener = tcp if tls is None else TLSListener(tcp, tls, standard_compatible=False)
    served = ShownServer(f"{'http' if tls is None else 'https'}://127.0.0.1:{port}", answer)
    async with listener, anyio.create_task_group() as tasks:

        async def listen(*, task_status: TaskStatus[None]) -> None:
            task_status.started()
            await listener.serve(connection)

        await tasks.start(listen)
        yield served
        tasks.cancel_scope.cancel()


async def hello(peer: Peer) -> None:
    """Answer anything with a short text."""
    await peer.body()
    await peer.answer(200, [("Content-Type", "text/plain"), ("Content-Length", "5")], b"hello", "OK")


@asynccontextmanager
async def forwarding(
    environ: dict[str, str], upstream: str, door: str = "http://127.0.0.1:9", models: tuple[str, ...] = (OURS,)
) -> AsyncGenerator[str]:
    """A forwarder as a process of its own; yields the base URL with its key."""
    order = ForwarderOrder(key=new_key(), models=frozenset(models), upstream=upstream, door=door, door_key=DOOR_KEY)
    async with forwarder(order, environ) as url:
        yield url


@dataclass
class Caller:
    """A client on one connection that shows every byte of an answer."""

    stream: ByteStream
    prefix: str
    conn: h11.Connection = field(default_factory=lambda: h11.Connection(h11.CLIENT))

    async def send(self, *events: h11.Event) -> None:
        for event in events:
            if sent := self.conn.send(event):
                await self.stream.send(sent)

    async def ask(self, method: str, path: str, headers: list[tuple[str, str]], body: bytes = b"") -> h11.Response:
        """Send a whole request, and read the head of its answer."""
        host = self.prefix.removeprefix("http://").partition("/")[0]
        head = h11.Request(method=method, target=self.target(path), headers=[("Host", host), *headers])
        await self.send(head, h11.Data(data=body), h11.EndOfMessage())
        return await self.head()

    def target(self, path: str) -> str:
        return "/" + self.prefix.removeprefix("http://").partition("/")[2] + path

    async def event(self) -> h11.Event:
        with anyio.fail_after(WAIT_S):
            while (event := self.conn.next_event()) is h11.NEED_DATA:
                try:
                    self.conn.receive_data(await self.stream.receive())
                except anyio.EndOfStream:
                    self.conn.receive_data(b"")
        assert not isinstance(event, type)
        return event

    async def head(self) -> h11.Response:
        while not isinstance(event := await self.event(), h11.Response):
            assert isinstance(event, h11.InformationalResponse)
        return event

    async def part(self) -> bytes:
        """The next piece of the body."""
        event = await self.event()
        assert isinstance(event, h11.Data)
        return bytes(event.data)

    async def body(self) -> bytes:
        """The rest of the body; the connection can then be used again where both sides let it."""
        parts: list[bytes] = []
        while isinstance(event := await self.event(), h11.Data):
            parts.append(bytes(event.data))
        if self.conn.our_state is h11.DONE and self.conn.their_state is h11.DONE:
            self.conn.start_next_cycle()
        return b"".join(parts)


@asynccontextmanager
async def calling(url: str) -> AsyncGenerator[Caller]:
    """A client of a forwarder."""
    host, _, port = url.removeprefix("http://").partition("/")[0].partition(":")
    with anyio.fail_after(WAIT_S):
        stream = await anyio.connect_tcp(host, int(port))
    async with stream:
        yield Caller(stream, url)


def message(model: str | None, text: str = "hello", *, last: bool = False) -> bytes:
    """The body of a request."""

    named = {} if model is None else {"model": model}
    rest = {"max_tokens": 10, "messages": [{"role": "user", "content": text}]}
    return json.dumps({**rest, **named} if last else {**named, **rest}).encode()


def posted(body: bytes, *more: tuple[str, str]) -> list[tuple[str, str]]:
    """The headers of a request with a body and the user's login."""
    login = [("Authorization", f"Bearer {LOGIN}"), ("x-api-key", LOGIN), ("Cookie", LOGIN), ("X-Gateway", LOGIN)]
    length = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    return [*login, *length, ("anthropic-version", "2023-06-01"), *more]
