"""A scripted OpenAI-compatible server on loopback: it does what real ones do only sometimes.

It runs in the test's own event loop, so a script can wait for the test and the test for the script; nothing sleeps.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass
class Received:
    """One request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: Json


class Exchange:
    """One request and the line back."""

    def __init__(self, received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.received = received
        self._reader = reader
        self._writer = writer

    async def head(self, status: int = 200, content_type: str = "text/event-stream", **headers: str) -> None:
        """Begin an answer whose end is the connection's."""
        lines = [f"HTTP/1.1 {status} Scripted", f"Content-Type: {content_type}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.raw("\r\n".join([*lines, "", ""]).encode())

    async def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def event(self, value: object) -> None:
        """Send one event of a stream."""
        await self.raw(f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n".encode())

    async def json(self, status: int, value: object, **headers: str) -> None:
        """Send a whole answer."""
        await self.head(status, "application/json", **headers)
        await self.raw(json.dumps(value).encode())

    async def stream(self, *events: object) -> None:
        """Send a whole stream with its end."""
        await self.head()
        for event in [*events, "[DONE]"]:
            await self.event(event)

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        while await self._reader.read(1024):
            pass


Script = Callable[[Exchange], Awaitable[None]]
"""Answers one POST."""


@dataclass
class FakeServer:
    """What came in; `models` is what GET /models answers."""

    url: str
    models: list[str]
    received: list[Received] = field(default_factory=list[Received])

    @property
    def posted(self) -> Json:
        """The body of the last chat."""
        return [request for request in self.received if request.method == "POST"][-1].body


@asynccontextmanager
async def fake_server(
    script: Script, models: Sequence[str] = ("m",), window: int | None = None
) -> AsyncGenerator[FakeServer]:
    """Serve `script` on a free port of this machine; `window` is the length that each model's entry tells."""
    told = {} if window is None else {"max_model_len": window}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            received = await _read(reader)
            server.received.append(received)
            exchange = Exchange(received, reader, writer)
            if received.method == "GET":
                await exchange.json(200, {"object": "list", "data": [{"id": name} | told for name in server.models]})
            else:
                await script(exchange)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The client went first; some tests want just that.
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = listener.sockets[0].getsockname()[:2]
    server = FakeServer(f"http://{host}:{port}/v1", list(models))
    async with listener:
        yield server


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, path, headers, json.loads(body) if body else {})


def delta(*, finish: str | None = None, model: str = "m", **fields: Any) -> Json:
    """One event of a stream: `content=`, `reasoning=`, `tool_calls=` and so on."""
    return {"model": model, "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def counts(prompt: int = 7, completion: int = 3, **details: Json) -> Json:
    """The event that ends a stream with its token counts."""
    return {"model": "m", "choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion, **details}}


def call_piece(index: int, *, name: str = "", arguments: str = "", ident: str = "") -> Json:
    """A fragment of a structured tool call."""
    piece: Json = {"index": index, "function": {"arguments": arguments}}
    if name:
        piece["function"]["name"] = name
    return {**piece, "id": ident, "type": "function"} if ident else piece


def says(*events: object) -> Script:
    """A script that streams these events."""

    async def script(exchange: Exchange) -> None:
        await exchange.stream(*events)

    return script


def refuses(status: int, value: object, **headers: str) -> Script:
    """A script that answers with a status and a body."""

    async def script(exchange: Exchange) -> None:
        await exchange.json(status, value, **headers)

    return script
