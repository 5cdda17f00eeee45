"""Connections that bring no request, half of one, or too much, seen from a socket."""

import contextlib
import json
from collections.abc import AsyncGenerator

import anyio
import pytest
from anyio.abc import SocketStream

from mcp_local_llm.doors.http import connections
from mcp_local_llm.doors.http.answer_route import MAX_BODY_BYTES
from tests.clients import WAIT_S
from tests.doors.http.door import LEGS, Door, endless, question

CHAT = "/v1/chat/completions"


@contextlib.asynccontextmanager
async def connected(door: Door) -> AsyncGenerator[SocketStream]:
    """A connection to the door."""
    with anyio.fail_after(WAIT_S):
        async with await anyio.connect_tcp("127.0.0.1", int(door.url.rpartition(":")[2])) as stream:
            yield stream


async def rest(stream: SocketStream) -> bytes:
    """Everything up to the end of the connection, which is no reset."""
    received = b""
    with contextlib.suppress(anyio.EndOfStream):
        while True:
            received += await stream.receive()
    return received


def head(length: int, *more: str) -> bytes:
    """The head of a chat whose body has so many bytes."""
    lines = [f"POST {CHAT} HTTP/1.1", "Host: localhost", f"Content-Length: {length}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


async def test_hundreds_of_silent_connections_shut_nobody_out(door: Door) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(300):
            await stack.enter_async_context(connected(door))
        reply = await door.http.post(CHAT, json=question(LEGS, think=False))
        assert reply.json()["choices"][0]["message"]["content"] == "10"


async def test_an_answer_in_progress_does_not_make_room_for_silent_connections(door: Door) -> None:
    async with door.http.stream("POST", CHAT, json=endless(stream=True)) as reply:
        lines = reply.aiter_lines()
        await anext(lines)
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(connections.MAX_CONNECTIONS + 8):
                await stack.enter_async_context(connected(door))
            # More than what was buffered when the last one came.
            for _ in range(20):
                await anext(lines)
    await door.until(0)


async def test_where_all_connections_are_answered_the_next_one_is_told(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 1)
    async with connected(door) as busy:
        body = json.dumps(endless(stream=True)).encode()
        await busy.send(head(len(body)) + body)
        await busy.receive()
        async with connected(door) as refused:
            assert (await rest(refused)).startswith(b"HTTP/1.1 503 ")
    await door.until(0)


@pytest.mark.parametrize(
    ("sent", "answer"),
    [(b"", b""), (b"POST / HTTP/1.1\r\nHost:", b""), (head(10) + b"{", b"HTTP/1.1 408 ")],
    ids=["nothing", "half a head", "half a body"],
)
async def test_a_silent_connection_is_closed_after_a_while(
    door: Door, monkeypatch: pytest.MonkeyPatch, sent: bytes, answer: bytes
) -> None:
    monkeypatch.setattr(connections, "READ_TIMEOUT_S", 0.2)
    async with connected(door) as stream:
        if sent:
            await stream.send(sent)
        received = await rest(stream)
        assert received.startswith(answer)
        assert bool(received) is bool(answer)


async def test_a_request_that_comes_in_pieces_is_answered(door: Door) -> None:
    body = json.dumps(question(LEGS, think=False)).encode()
    request = head(len(body), "Connection: close") + body
    async with connected(door) as stream:
        for start in range(0, len(request), 40):
            await stream.send(request[start : start + 40])
            await anyio.lowlevel.checkpoint()
        assert b'"content":"10"' in await rest(stream)


@pytest.mark.parametrize("more", [(), ("Connection: close",)], ids=["kept", "closed"])
async def test_a_client_that_sends_too_long_a_body_to_its_end_reads_the_413(door: Door, more: tuple[str, ...]) -> None:
    length = MAX_BODY_BYTES + 5_000_000
    async with connected(door) as stream:
        await stream.send(head(length, *more))
        for _ in range(length // 1_000_000):
            await stream.send(b" " * 1_000_000)
        await stream.send(b" " * (length % 1_000_000))
        assert (await stream.receive()).startswith(b"HTTP/1.1 413 ")


async def test_a_refusal_reaches_a_client_that_sends_its_body_all_the_same(door: Door) -> None:
    async with connected(door) as stream:
        await stream.send(head(5_000_000, "Connection: close").replace(b"localhost", b"evil.example"))
        await stream.send(b" " * 5_000_000)
        assert (await rest(stream)).startswith(b"HTTP/1.1 403 ")
