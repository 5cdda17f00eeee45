"""The user's proxy is used for the API as Claude Code would use it, and never for the local door."""

import base64

import anyio
import pytest
from anyio.abc import ByteStream

from mcp_local_llm.agents.forwarder.addresses import address_of, proxy_for
from mcp_local_llm.values.errors import ConfigError
from tests.agents.forwarder.rig import OTHER, OURS, PATH, Peer, calling, forwarding, hello, message, posted, server

API = "https://api.anthropic.com"


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        (API, {}, None),
        (API, {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        (API, {"https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:1"}, "http://a:1"),
        (API, {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        (API, {"HTTPS_PROXY": "p:8080"}, "http://p:8080"),
        (API, {"HTTPS_PROXY": "https://p"}, "https://p"),
        (API, {"HTTPS_PROXY": "http://u:s@p:1/"}, "http://p:1"),
        (API, {"HTTPS_PROXY": ""}, None),
        (API, {"ALL_PROXY": "http://p:1"}, None),
        (API, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
        (API, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "localhost, .anthropic.com"}, None),
        (API, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a.test anthropic.com"}, None),
        (API, {"HTTPS_PROXY": "http://p:1", "no_proxy": "*.anthropic.com"}, None),
        (API, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "API.anthropic.com:443"}, None),
        (API, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "api.anthropic.com:8443,thropic.com"}, "http://p:1"),
        ("http://gateway.test:4000/x", {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        ("http://127.0.0.1:4000", {"HTTP_PROXY": "http://p:1"}, None),
        ("http://localhost:4000", {"HTTP_PROXY": "http://p:1"}, None),
        ("http://[::1]:4000", {"HTTP_PROXY": "http://p:1"}, None),
    ],
)
def test_the_proxy_is_the_one_that_claude_code_would_use(url: str, environ: dict[str, str], proxy: str | None) -> None:
    found = proxy_for(address_of(url), environ)
    assert (None if found is None else found.origin) == proxy


@pytest.mark.parametrize("value", ["socks5://p:1", "http://", "ftp://p"])
def test_a_proxy_of_another_kind_is_refused_by_the_name_of_its_variable(value: str) -> None:
    with pytest.raises(ConfigError, match="HTTPS_PROXY"):
        proxy_for(address_of(API), {"HTTPS_PROXY": value})


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.anthropic.com", "api.anthropic.com"),
        ("https://API.anthropic.com:443/x/", "api.anthropic.com"),
        ("http://h:443", "h:443"),
        ("http://h:80", "h"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("https://b\u00fccher.test", "xn--bcher-kva.test"),
    ],
)
def test_the_host_header_is_that_of_the_address(url: str, name: str) -> None:
    assert address_of(url).name == name


async def relayed(peer: Peer, port: int) -> None:
    """Be a proxy's tunnel to a port of this machine."""
    await peer.stream.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
    async with await anyio.connect_tcp("127.0.0.1", port) as inner, anyio.create_task_group() as tasks:

        async def pass_on(one: ByteStream, other: ByteStream) -> None:
            async for data in one:
                await other.send(data)
            tasks.cancel_scope.cancel()

        tasks.start_soon(pass_on, peer.stream, inner)
        await pass_on(inner, peer.stream)


async def test_plain_http_goes_through_the_proxy_with_its_login(environ: dict[str, str]) -> None:
    async with server(hello) as proxy, server(hello) as door:
        login = proxy.url.replace("http://", "http://user:p%40ss@")
        proxied = {**environ, "HTTP_PROXY": login}
        async with forwarding(proxied, "http://gateway.test:4000/base", door.url) as url, calling(url) as caller:
            body = message(OTHER)
            assert (await caller.ask("POST", PATH, posted(body), body)).status_code == 200
            await caller.body()
            assert proxy.requests[-1].target == b"http://gateway.test:4000/base" + PATH.encode()
            headers = proxy.headers()
            assert headers["host"] == "gateway.test:4000"
            assert headers["proxy-authorization"] == "Basic " + base64.b64encode(b"user:p@ss").decode()
            body = message(OURS)
            assert (await caller.ask("POST", PATH, posted(body), body)).status_code == 200
            assert (len(proxy.requests), len(door.requests)) == (1, 1)
