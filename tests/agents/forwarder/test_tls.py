"""Over TLS: the same bytes, to the API's own host alone, with the certificates that the user trusts."""

import json
from pathlib import Path

import anyio
import h11
import pytest

from tests.agents.forwarder.certificates import Authority, authority, needs_openssl
from tests.agents.forwarder.rig import OTHER, OURS, PATH, Peer, calling, forwarding, hello, message, posted, server
from tests.agents.forwarder.test_bytes import digest_and_noise, exchange
from tests.agents.forwarder.test_proxies import relayed
from tests.agents.forwarder.test_streaming import FIRST, REST, STREAM
from tests.clients import WAIT_S

pytestmark = needs_openssl


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.mark.parametrize("variable", ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"])
async def test_mixed_sizes_arrive_byte_for_byte_over_tls(
    variable: str, environ: dict[str, str], ours: Authority
) -> None:
    trusting = {**environ, variable: str(ours.certificate)}
    async with server(digest_and_noise, ours.server()) as upstream, forwarding(trusting, upstream.url) as url:
        async with calling(url) as caller:
            for number in range(50):
                await exchange(caller, number)
        assert len(upstream.requests) == 50
        assert upstream.headers()["host"] == upstream.url.removeprefix("https://")


async def test_bytes_and_ends_go_on_at_once_over_tls(environ: dict[str, str], ours: Authority) -> None:
    arrived, seen, ended = anyio.Event(), anyio.Event(), anyio.Event()

    async def slow(peer: Peer) -> None:
        await peer.event()
        arrived.set()
        await peer.body()
        await peer.send(h11.Response(status_code=200, headers=STREAM), h11.Data(data=FIRST))
        await seen.wait()
        await peer.send(h11.Data(data=REST))
        await peer.closed()
        ended.set()

    trusting = {**environ, "NODE_EXTRA_CA_CERTS": str(ours.certificate)}
    async with server(slow, ours.server()) as upstream, forwarding(trusting, upstream.url) as url:
        async with calling(url) as caller:
            body = message(OTHER)
            headers = [("Host", "x"), *posted(body)]
            request = h11.Request(method="POST", target=caller.target(PATH), headers=headers)
            await caller.send(request, h11.Data(data=body[:40]))
            with anyio.fail_after(WAIT_S):
                await arrived.wait()
            await caller.send(h11.Data(data=body[40:]), h11.EndOfMessage())
            await caller.head()
            assert await caller.part() == FIRST
            seen.set()
            assert await caller.part() == REST
        with anyio.fail_after(5):
            await ended.wait()


async def test_a_server_that_cannot_prove_to_be_the_one_gets_nothing(
    environ: dict[str, str], ours: Authority, tmp_path: Path
) -> None:
    foreign = authority(tmp_path / "foreign")
    trusting = {**environ, "NODE_EXTRA_CA_CERTS": str(ours.certificate), "NODE_TLS_REJECT_UNAUTHORIZED": "0"}
    for context in (foreign.server(), ours.server("DNS:api.anthropic.com")):
        async with (
            server(hello, context) as upstream,
            forwarding(trusting, upstream.url) as url,
            calling(url) as caller,
        ):
            body = message(OTHER)
            assert (await caller.ask("POST", PATH, posted(body), body)).status_code == 502
            error = json.loads(await caller.body())["error"]
            assert "NODE_EXTRA_CA_CERTS" in error["message"]
            assert upstream.requests == []


async def test_plain_http_where_tls_was_configured_gets_nothing(environ: dict[str, str]) -> None:
    async with (
        server(hello) as upstream,
        server(hello) as door,
        forwarding(environ, upstream.url.replace("http:", "https:"), door.url) as url,
        calling(url) as caller,
    ):
        body = message(OTHER)
        assert (await caller.ask("POST", PATH, posted(body), body)).status_code == 502
        await caller.body()
        body = message(OURS)
        assert (await caller.ask("POST", PATH, posted(body), body)).status_code == 200
        assert upstream.requests == []


async def test_a_proxy_sees_the_name_of_the_api_and_nothing_else(environ: dict[str, str], ours: Authority) -> None:
    async with server(hello, ours.server("DNS:api.test")) as upstream:
        port = int(upstream.url.rpartition(":")[2])

        async def tunnel(peer: Peer) -> None:
            await relayed(peer, port)

        async with server(tunnel) as proxy:
            there = {"NODE_EXTRA_CA_CERTS": str(ours.certificate), "HTTPS_PROXY": proxy.url}
            async with forwarding({**environ, **there}, f"https://api.test:{port}") as url, calling(url) as caller:
                for _ in range(2):
                    body = message(OTHER, "x" * 100_000)
                    assert (await caller.ask("POST", PATH, posted(body), body)).status_code == 200
                    assert await caller.body() == b"hello"
            assert [(one.method, one.target) for one in proxy.requests] == [(b"CONNECT", f"api.test:{port}".encode())]
            assert proxy.headers() == {"host": f"api.test:{port}"}
            assert upstream.headers()["host"] == f"api.test:{port}"


async def test_a_proxy_that_refuses_is_named_in_the_error(environ: dict[str, str]) -> None:
    async def refusing(peer: Peer) -> None:
        await peer.answer(407, [("Content-Length", "0")], b"", "Proxy Authentication Required")

    async with (
        server(refusing) as proxy,
        forwarding({**environ, "HTTPS_PROXY": proxy.url}, "https://api.test") as url,
        calling(url) as caller,
    ):
        body = message(OTHER)
        assert (await caller.ask("POST", PATH, posted(body), body)).status_code == 502
        assert "407 Proxy Authentication Required" in (await caller.body()).decode()
