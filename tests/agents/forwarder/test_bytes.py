"""What goes through the forwarder is what came, byte for byte: bodies, targets, heads, in both directions."""

import hashlib
import random

import anyio
import h11
import pytest

from mcp_local_llm.agents.forwarder.body import MAX_AHEAD
from tests.agents.forwarder.conftest import Between
from tests.agents.forwarder.rig import (
    OTHER,
    OURS,
    PATH,
    Caller,
    Peer,
    calling,
    forwarding,
    message,
    posted,
    server,
)
from tests.clients import WAIT_S

SIZES = (0, 1, 100, 1_000, 10_000, 65_536, 100_000, 500_000)
WEIGHTS = (1, 1, 5, 8, 8, 2, 2, 1)


def noise(seed: str, size: int) -> bytes:
    """Bytes that no compression and no text decoding leaves as they are."""
    return random.Random(seed).randbytes(size)


async def digest_and_noise(peer: Peer) -> None:
    """Answer with the digest of the request's body in a header, and with as much noise as the request asks for."""
    body = await peer.body()
    assert peer.request is not None
    wanted = dict(peer.request.headers)
    answer = noise("answer", int(wanted[b"x-wanted"]))
    headers = [("X-Got", hashlib.sha256(body).hexdigest()), ("Content-Encoding", "gzip")]
    framing = ("Transfer-Encoding", "chunked") if wanted.get(b"x-chunks") else ("Content-Length", str(len(answer)))
    await peer.answer(200, [*headers, framing], answer, "OK")


async def exchange(caller: Caller, number: int) -> None:
    """One request of a size, framing and content that the number decides, compared in both directions."""
    rnd = random.Random(number)
    size, wanted = rnd.choices(SIZES, WEIGHTS, k=2)
    body = (
        noise(f"request {number}", size) if rnd.random() < 0.5 else message(OTHER, "x" * size, last=rnd.random() < 0.5)
    )
    more = [("X-Number", str(number)), ("X-Wanted", str(wanted)), *([("X-Chunks", "1")] if rnd.random() < 0.5 else [])]
    method, chunked = rnd.choice(["POST", "POST", "PUT", "PATCH"]), rnd.random() < 0.5
    framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(body)))
    response = await caller.ask(method, rnd.choice([PATH, "/v1/files"]), [*more, framing], body)
    answer = await caller.body()
    assert response.status_code == 200
    assert dict(response.headers)[b"x-got"].decode() == hashlib.sha256(body).hexdigest()
    assert hashlib.sha256(answer).digest() == hashlib.sha256(noise("answer", wanted)).digest()


@pytest.mark.slow
async def test_a_thousand_requests_of_mixed_sizes_arrive_byte_for_byte(between: Between) -> None:
    between.upstream.answer = digest_and_noise

    async def many(url: str, first: int) -> None:
        async with calling(url) as caller:
            for number in range(first, 1000, 4):
                await exchange(caller, number)

    before = len(between.upstream.requests)
    async with anyio.create_task_group() as tasks:
        for first in range(4):
            tasks.start_soon(many, between.url, first)
    assert len(between.upstream.requests) == before + 1000


async def test_a_body_of_32_mb_arrives_whole_in_both_directions(between: Between, caller: Caller) -> None:
    async def echo(peer: Peer) -> None:
        body = await peer.body()
        await peer.answer(200, [("Content-Length", str(len(body)))], body)

    sent = message(OTHER, "x" * 32_000_000, last=True)
    between.upstream.answer = between.door.answer = echo
    for body, got in ((sent, between.upstream), (message(OURS, "x" * 32_000_000, last=True), between.door)):
        before = len(got.requests)
        await caller.ask("POST", PATH, posted(body), body)
        assert await caller.body() == body
        assert len(got.requests) == before + 1


@pytest.mark.slow
async def test_a_body_too_large_to_be_held_goes_to_the_api_and_arrives_whole(between: Between, caller: Caller) -> None:
    between.upstream.answer = digest_and_noise
    body = message(OURS, "x" * (MAX_AHEAD + 2**20), last=True)
    response = await caller.ask("POST", PATH, posted(body, ("X-Wanted", "10")), body)
    assert dict(response.headers)[b"x-got"].decode() == hashlib.sha256(body).hexdigest()
    assert len(await caller.body()) == 10


async def told(peer: Peer) -> None:
    """Answer with what the request's headers ask for."""
    body = await peer.body()
    assert peer.request is not None
    status = int(dict(peer.request.headers).get(b"x-status", b"200"))
    length = [] if status in (204, 304) else [("Content-Length", str(len(body)))]
    headers = [("X-MiXeD", "Case"), ("Set-Cookie", "a=1"), ("set-cookie", "b=2"), ("Location", "/elsewhere"), *length]
    hops = [("Connection", "keep-alive, X-Hop"), ("X-Hop", "1"), ("Keep-Alive", "timeout=5")]
    await peer.answer(status, [*headers, ("Retry-After", "7"), *hops], body, "As The Server Says")


@pytest.fixture
def seen(between: Between) -> list[h11.Request]:
    """The heads that arrive at an API that answers as the request asks it to."""
    between.upstream.answer = told
    return between.upstream.requests


TARGETS = [
    "/v1/messages?beta=true&x=%7e%2F",
    "/v1/a%20b/../c/./d//e?",
    "/v1/x?y=http://127.0.0.1/?z#",
    "/%F0%9F%8C%8D/~user;p=1?q=a+b",
    "?only=query",
]


@pytest.mark.parametrize("path", TARGETS)
async def test_the_target_goes_on_as_it_came(path: str, seen: list[h11.Request], caller: Caller) -> None:
    await caller.ask("GET", path, [])
    await caller.body()
    assert seen[-1].target == (path if path.startswith("/") else f"/{path}").encode()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"])
async def test_every_method_goes_on(method: str, seen: list[h11.Request], caller: Caller) -> None:
    response = await caller.ask(method, "/v1/files", [("Content-Length", "3")], b"abc")
    assert (response.status_code, await caller.body()) == (200, b"abc")
    assert seen[-1].method == method.encode()


async def test_headers_go_on_as_they_came_but_for_those_of_one_connection(
    between: Between, seen: list[h11.Request], caller: Caller
) -> None:
    sent = [
        ("User-Agent", "claude-cli/2.1.329 (external, cli)"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Authorization", "Bearer abc"),
        ("X-Api-Key", "k"),
        ("anthropic-BETA", "one"),
        ("anthropic-beta", "two"),
        ("X-Empty", ""),
        ("X-Latin", "caf\u00e9"),
        ("Content-Length", "0"),
    ]
    hops = [("Connection", "keep-alive, X-Private"), ("X-Private", "1"), ("Keep-Alive", "5"), ("TE", "trailers")]
    latin = [(name.encode(), value.encode("latin-1")) for name, value in [*sent, *hops, ("Proxy-Authorization", "p")]]
    head = h11.Request(method="POST", target=caller.target(PATH), headers=[(b"Host", b"x"), *latin])
    await caller.send(head, h11.EndOfMessage())
    await caller.head()
    await caller.body()
    arrived = seen[-1].headers.raw_items()
    assert arrived == [(b"Host", between.upstream.url.removeprefix("http://").encode()), *latin[:-5]]


@pytest.mark.parametrize("status", [200, 201, 204, 301, 302, 304, 400, 401, 404, 429, 500, 503, 520, 529])
async def test_status_reason_and_headers_come_back_as_they_were(
    status: int, seen: list[h11.Request], caller: Caller
) -> None:
    body = b"" if status in (204, 304) else b"abc"
    response = await caller.ask("POST", PATH, [("X-Status", str(status)), ("Content-Length", str(len(body)))], body)
    assert await caller.body() == body
    assert len(seen) > 0
    assert (response.status_code, bytes(response.reason)) == (status, b"As The Server Says")
    length = [] if status in (204, 304) else [(b"Content-Length", str(len(body)).encode())]
    assert response.headers.raw_items() == [
        (b"X-MiXeD", b"Case"),
        (b"Set-Cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"Location", b"/elsewhere"),
        *length,
        (b"Retry-After", b"7"),
    ]


async def test_no_cookie_is_kept_and_no_redirect_followed(seen: list[h11.Request], caller: Caller) -> None:
    before = len(seen)
    for _ in range(2):
        await caller.ask("GET", "/v1/models", [("X-Status", "302")])
        await caller.body()
    assert len(seen) == before + 2
    assert b"cookie" not in dict(seen[-1].headers)


async def test_head_brings_the_headers_alone(between: Between, caller: Caller) -> None:
    async def sized(peer: Peer) -> None:
        assert peer.request is not None
        await peer.body()
        await peer.answer(200, [("Content-Length", "5")], b"" if peer.request.method == b"HEAD" else b"hello")

    between.upstream.answer = sized
    for method, body in (("HEAD", b""), ("GET", b"hello"), ("HEAD", b"")):
        response = await caller.ask(method, "/api/hello", [])
        assert response.headers.raw_items() == [(b"Content-Length", b"5")]
        assert await caller.body() == body


async def test_an_answer_without_a_length_ends_where_the_server_ended_it(between: Between, caller: Caller) -> None:
    async def until_closed(peer: Peer) -> None:
        await peer.body()
        await peer.stream.send(b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\nuntil the end")

    between.upstream.answer = until_closed
    for _ in range(2):
        await caller.ask("GET", "/v1/models", [])
        assert await caller.body() == b"until the end"


async def test_a_client_that_waits_for_100_is_told_to_go_on(seen: list[h11.Request], caller: Caller) -> None:
    body = message(OTHER)
    headers = [("Host", "x"), ("Expect", "100-continue"), *posted(body)]
    await caller.send(h11.Request(method="POST", target=caller.target(PATH), headers=headers))
    informed = await caller.event()
    assert isinstance(informed, h11.InformationalResponse)
    assert informed.status_code == 100
    await caller.send(h11.Data(data=body), h11.EndOfMessage())
    assert (await caller.head()).status_code == 200
    assert await caller.body() == body
    assert dict(seen[-1].headers)[b"expect"] == b"100-continue"


async def test_connections_are_used_again_on_both_sides(between: Between, caller: Caller) -> None:
    peers: list[int] = []

    async def counted(peer: Peer) -> None:
        peers.append(id(peer))
        await told(peer)

    between.upstream.answer = counted
    for _ in range(5):
        await caller.ask("GET", "/v1/models", [])
        await caller.body()
    assert (len(peers), len(set(peers))) == (5, 1)


async def test_a_path_of_the_configured_address_comes_first(environ: dict[str, str]) -> None:
    async with (
        server(told) as upstream,
        forwarding(environ, f"{upstream.url}/gateway/anthropic/") as url,
        calling(url) as caller,
    ):
        await caller.ask("GET", "/v1/models?limit=3", [])
        await caller.body()
        assert upstream.requests[-1].target == b"/gateway/anthropic/v1/models?limit=3"
        body = message(OTHER)
        await caller.ask("POST", PATH, posted(body), body)
        assert await caller.body() == body


async def test_many_requests_at_once_keep_apart(between: Between) -> None:
    async def one(number: int) -> None:
        async with calling(between.url) as caller:
            await exchange(caller, number)

    between.upstream.answer = digest_and_noise
    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(one, number)
