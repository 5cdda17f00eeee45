"""Bytes go on while more are to come, ends go on at once, and nobody waits for anybody else."""

import json
from collections.abc import Awaitable, Callable

import anyio
import h11
import pytest

from tests.agents.forwarder.conftest import Between
from tests.agents.forwarder.rig import LOGIN, OTHER, OURS, PATH, Caller, Peer, calling, hello, message, posted
from tests.clients import WAIT_S

BOTH = pytest.mark.parametrize("model", [OTHER, OURS])
STREAM = [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")]
FIRST, REST = b"event: message_start\ndata: {}\n\n", b"event: message_stop\ndata: {}\n\n"


def answering(between: Between, model: str, answer: Callable[[Peer], Awaitable[None]]) -> None:
    """Let the server that gets requests for a model answer them so."""
    (between.door if model == OURS else between.upstream).answer = answer


def head(caller: Caller, *headers: tuple[str, str], method: str = "POST", path: str = PATH) -> h11.Request:
    return h11.Request(method=method, target=caller.target(path), headers=[("Host", "x"), *headers])


@BOTH
async def test_the_first_byte_of_an_answer_goes_on_before_the_last_has_come(
    model: str, between: Between, caller: Caller
) -> None:
    seen = anyio.Event()

    async def slow(peer: Peer) -> None:
        await peer.body()
        await peer.send(h11.Response(status_code=200, headers=STREAM))
        await peer.send(h11.Data(data=FIRST))
        await seen.wait()
        await peer.send(h11.Data(data=REST), h11.EndOfMessage())

    answering(between, model, slow)
    body = message(model)
    await caller.ask("POST", PATH, posted(body), body)
    assert await caller.part() == FIRST
    seen.set()
    assert await caller.body() == REST


@BOTH
async def test_the_head_of_an_answer_goes_on_before_its_body(model: str, between: Between, caller: Caller) -> None:
    seen = anyio.Event()

    async def slow(peer: Peer) -> None:
        await peer.body()
        await peer.send(h11.Response(status_code=200, headers=STREAM))
        await seen.wait()
        await peer.send(h11.Data(data=REST), h11.EndOfMessage())

    answering(between, model, slow)
    body = message(model)
    assert (await caller.ask("POST", PATH, posted(body), body)).status_code == 200
    seen.set()
    assert await caller.body() == REST


@BOTH
@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_the_first_byte_of_a_request_goes_on_before_the_last_has_come(
    framing: str, model: str, between: Between, caller: Caller
) -> None:
    arrived, got = anyio.Event(), bytearray()

    async def slow(peer: Peer) -> None:
        while isinstance(event := await peer.event(), h11.Data):
            got.extend(event.data)
            arrived.set()
        await peer.answer(200, [("Content-Length", "0")], b"")

    answering(between, model, slow)
    body = message(model, "x" * 1000)
    sized = ("Content-Length", str(len(body))) if framing == "length" else ("Transfer-Encoding", "chunked")
    await caller.send(head(caller, sized), h11.Data(data=body[:40]))
    with anyio.fail_after(WAIT_S):
        await arrived.wait()
    assert bytes(got) == body[:40]
    await caller.send(h11.Data(data=body[40:]), h11.EndOfMessage())
    assert (await caller.head()).status_code == 200
    assert bytes(got) == body


async def test_a_request_of_another_path_is_not_held_back_for_its_model(between: Between, caller: Caller) -> None:
    arrived = anyio.Event()

    async def slow(peer: Peer) -> None:
        await peer.event()
        arrived.set()
        await peer.body()
        await peer.answer(200, [("Content-Length", "0")], b"")

    between.upstream.answer = slow
    await caller.send(head(caller, ("Content-Length", "2"), path="/v1/files"), h11.Data(data=b"{"))
    with anyio.fail_after(WAIT_S):
        await arrived.wait()
    await caller.send(h11.Data(data=b"}"), h11.EndOfMessage())
    assert (await caller.head()).status_code == 200


@BOTH
@pytest.mark.parametrize("moment", ["before the head", "in the body"])
async def test_a_client_that_leaves_ends_the_request_at_once(moment: str, model: str, between: Between) -> None:
    waits, ended = anyio.Event(), anyio.Event()

    async def endless(peer: Peer) -> None:
        await peer.body()
        if moment == "in the body":
            await peer.send(h11.Response(status_code=200, headers=STREAM))
            await peer.send(h11.Data(data=FIRST))
        waits.set()
        await peer.closed()
        ended.set()

    answering(between, model, endless)
    async with calling(between.url) as caller:
        body = message(model)
        sized = ("Content-Length", str(len(body)))
        await caller.send(head(caller, sized), h11.Data(data=body), h11.EndOfMessage())
        with anyio.fail_after(WAIT_S):
            await waits.wait()
    with anyio.fail_after(5):
        await ended.wait()


@BOTH
async def test_a_client_that_leaves_in_the_middle_of_its_request_ends_it(model: str, between: Between) -> None:
    arrived, ended = anyio.Event(), anyio.Event()

    async def listening(peer: Peer) -> None:
        await peer.event()
        arrived.set()
        await peer.closed()
        ended.set()

    answering(between, model, listening)
    async with calling(between.url) as caller:
        await caller.send(head(caller, ("Content-Length", "100000")), h11.Data(data=message(model)))
        with anyio.fail_after(WAIT_S):
            await arrived.wait()
    with anyio.fail_after(5):
        await ended.wait()


async def test_a_client_that_leaves_is_noticed_while_the_server_reads_nothing(between: Between) -> None:
    arrived, go_on, ended = anyio.Event(), anyio.Event(), anyio.Event()

    async def deaf(peer: Peer) -> None:
        arrived.set()
        await go_on.wait()
        await peer.closed()
        ended.set()

    between.upstream.answer = deaf
    body = message(OTHER, "x" * 20_000_000)
    async with calling(between.url) as caller:
        await caller.send(head(caller, ("Content-Length", str(len(body)))), h11.Data(data=body), h11.EndOfMessage())
        with anyio.fail_after(WAIT_S):
            await arrived.wait()
    # The API notices nothing before it reads; that it comes to an end then shows that its other side has gone.
    go_on.set()
    with anyio.fail_after(WAIT_S):
        await ended.wait()


@BOTH
async def test_an_answer_that_breaks_off_breaks_off_for_the_client_as_well(
    model: str, between: Between, caller: Caller
) -> None:
    async def cut(peer: Peer) -> None:
        await peer.body()
        await peer.send(h11.Response(status_code=200, headers=[("Content-Length", "1000")]), h11.Data(data=b"half"))

    answering(between, model, cut)
    body = message(model)
    await caller.ask("POST", PATH, posted(body), body)
    with pytest.raises(h11.RemoteProtocolError):
        await caller.body()


async def test_a_stream_of_the_api_that_breaks_off_gets_no_end_of_ours(between: Between, caller: Caller) -> None:
    async def cut(peer: Peer) -> None:
        await peer.body()
        await peer.send(h11.Response(status_code=200, headers=STREAM), h11.Data(data=FIRST))

    between.upstream.answer = cut
    body = message(OTHER)
    await caller.ask("POST", PATH, posted(body), body)
    assert await caller.part() == FIRST
    with pytest.raises(h11.RemoteProtocolError):
        await caller.body()


async def test_a_stream_of_the_local_model_that_breaks_off_ends_in_an_error_event(
    between: Between, caller: Caller
) -> None:
    async def cut(peer: Peer) -> None:
        await peer.body()
        await peer.send(h11.Response(status_code=200, headers=STREAM), h11.Data(data=FIRST + b"event: con"))

    between.door.answer = cut
    body = message(OURS)
    await caller.ask("POST", PATH, posted(body), body)
    told = await caller.body()
    assert told.startswith(FIRST)
    name, data = told.split(b"\n\n")[-2].split(b"\n")
    assert name == b"event: error"
    error = json.loads(data.removeprefix(b"data: "))
    assert (error["type"], error["error"]["type"]) == ("error", "api_error")
    assert OURS in error["error"]["message"]


@pytest.mark.parametrize("model", [OURS, OTHER])
async def test_a_server_that_closes_without_an_answer_is_an_error_that_can_be_read(
    model: str, between: Between, caller: Caller
) -> None:
    async def closing(peer: Peer) -> None:
        await peer.body()

    answering(between, model, closing)
    body = message(model)
    response = await caller.ask("POST", PATH, posted(body), body)
    error = json.loads(await caller.body())
    assert (error["type"], error["error"]["type"]) == ("error", "api_error")
    assert LOGIN not in str(error)
    headers = dict(response.headers)
    # Without the forwarder the client would try the API again by itself; the local model would fail ten times.
    wanted = (503, b"false") if model == OURS else (502, None)
    assert (response.status_code, headers.get(b"x-should-retry")) == wanted


async def test_what_is_no_http_is_an_error_that_can_be_read(between: Between, caller: Caller) -> None:
    async def babbling(peer: Peer) -> None:
        await peer.body()
        await peer.stream.send(b"hello there\r\n\r\n")

    between.upstream.answer = babbling
    body = message(OTHER)
    assert (await caller.ask("POST", PATH, posted(body), body)).status_code == 502
    assert json.loads(await caller.body())["error"]["type"] == "api_error"


@pytest.mark.parametrize(("hanging", "other"), [(OURS, OTHER), (OTHER, OURS)])
async def test_a_server_that_hangs_holds_up_nobody_else(hanging: str, other: str, between: Between) -> None:
    waiting = 0
    all_wait = anyio.Event()

    async def deaf(peer: Peer) -> None:
        nonlocal waiting
        waiting += 1
        if waiting == 20:
            all_wait.set()
        await anyio.sleep_forever()

    answering(between, hanging, deaf)
    answering(between, other, hello)
    body = message(hanging)

    async def stuck() -> None:
        async with calling(between.url) as caller:
            await caller.ask("POST", PATH, posted(body), body)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(stuck)
        with anyio.fail_after(WAIT_S):
            await all_wait.wait()
        async with calling(between.url) as caller:
            body_of_other = message(other)
            await caller.ask("POST", PATH, posted(body_of_other), body_of_other)
            assert await caller.body() == b"hello"
        tasks.cancel_scope.cancel()


@BOTH
async def test_an_answer_that_comes_before_the_request_has_ended_goes_on(
    model: str, between: Between, caller: Caller
) -> None:
    async def refusing(peer: Peer) -> None:
        await peer.event()
        await peer.answer(413, [("Content-Length", "9")], b"too large", "Too Large")

    answering(between, model, refusing)
    await caller.send(head(caller, ("Content-Length", "1000000")), h11.Data(data=message(model)))
    response = await caller.head()
    assert (response.status_code, bytes(response.reason)) == (413, b"Too Large")
    assert await caller.body() == b"too large"


async def test_a_server_that_refuses_a_large_body_unread_is_heard(between: Between) -> None:
    async def refusing(peer: Peer) -> None:
        await peer.answer(413, [("Content-Length", "9"), ("Connection", "close")], b"too large")
        await peer.body()

    between.upstream.answer = refusing
    body = message(OTHER, "x" * 10_000_000)
    async with calling(between.url) as caller:
        assert (await caller.ask("POST", PATH, posted(body), body)).status_code == 413
        assert await caller.body() == b"too large"


@BOTH
async def test_a_server_that_ends_in_the_middle_of_a_request_is_told_at_once(
    model: str, between: Between, caller: Caller
) -> None:
    async def leaving(peer: Peer) -> None:
        await peer.event()

    answering(between, model, leaving)
    await caller.send(head(caller, ("Content-Length", "1000000")), h11.Data(data=message(model)))
    assert (await caller.head()).status_code == (503 if model == OURS else 502)


@BOTH
async def test_both_directions_run_at_the_same_time(model: str, between: Between, caller: Caller) -> None:
    async def echoing(peer: Peer) -> None:
        await peer.send(h11.Response(status_code=200, headers=STREAM))
        while isinstance(event := await peer.event(), h11.Data):
            await peer.send(h11.Data(data=bytes(event.data)))
        await peer.send(h11.EndOfMessage())

    answering(between, model, echoing)
    start, pieces = message(model)[:-1], [b" " * 1000, b" " * 10, b"}"]
    length = len(start) + sum(map(len, pieces))
    await caller.send(head(caller, ("Content-Length", str(length))), h11.Data(data=start))
    await caller.head()
    assert await caller.part() == start
    for piece in pieces:
        await caller.send(h11.Data(data=piece))
        assert await caller.part() == piece
    await caller.send(h11.EndOfMessage())
    assert await caller.body() == b""


async def test_a_connection_that_the_api_has_closed_meanwhile_is_not_used_again(
    between: Between, caller: Caller
) -> None:
    closed = anyio.Event()

    async def once(peer: Peer) -> None:
        await hello(peer)
        await peer.stream.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await peer.stream.aclose()
        closed.set()

    between.upstream.answer = once
    for _ in range(5):
        assert (await caller.ask("GET", "/v1/models", [])).status_code == 200
        assert await caller.body() == b"hello"
        await closed.wait()
        # The end has to be on its way before the next request; a request to another server follows it there.
        body = message(OURS)
        await caller.ask("POST", PATH, posted(body), body)
        await caller.body()
        closed = anyio.Event()
