"""Servers on this machine are recognised by what they answer."""

import asyncio
import socket
from contextlib import ExitStack

import pytest

from mcp_local_llm.engines.http import list_endpoint, look_at_ports
from mcp_local_llm.engines.http import probe as probe_module
from mcp_local_llm.values.endpoint import DetectedServer, Endpoint, loopback_port
from mcp_local_llm.values.errors import BackendProtocolError, BackendUnavailableError, ConfigError
from tests.doctor.servers import Script, models, serving

LM_STUDIO = {"object": "list", "data": [{"id": "m", "compatibility_type": "mlx", "state": "loaded"}]}
NO_KEY = {"error": {"message": "no key"}}

KINDS: dict[str, tuple[Script, str | None, tuple[str, ...], bool]] = {
    "llama-server": (
        Script({"/v1/models": (200, models("m", owned_by="llamacpp"))}, "llama.cpp"),
        "llama-server",
        ("m",),
        False,
    ),
    "llama-server that loads": (
        Script({"/v1/models": (503, {"error": {"message": "Loading model"}})}, "llama.cpp"),
        "llama-server",
        (),
        False,
    ),
    "llama-server with a key": (Script({"/v1/models": (401, NO_KEY)}, "llama.cpp"), "llama-server", (), True),
    "llama-swap": (
        Script(
            {"/v1/models": (200, models("a", "b", owned_by="llama-swap")), "/api/version": (200, {"version": "1"})}, ""
        ),
        "llama-swap",
        ("a", "b"),
        False,
    ),
    "llama-swap with a key": (
        Script({"/v1/models": (401, NO_KEY), "/api/version": (200, {"version": "1", "commit": "x"})}, ""),
        None,
        (),
        True,
    ),
    "vllm": (Script({"/v1/models": (200, models("m", owned_by="vllm"))}, "uvicorn"), "vllm", ("m",), False),
    "vllm-mlx": (Script({"/v1/models": (200, models("m", owned_by="vllm-mlx"))}, "uvicorn"), "vllm-mlx", ("m",), False),
    "omlx": (Script({"/v1/models": (200, models("m", owned_by="omlx"))}, "uvicorn"), "omlx", ("m",), False),
    "ollama": (
        Script(
            {"/v1/models": (200, models("qwen3:4b", owned_by="library")), "/api/version": (200, {"version": "0.13"})},
            "",
        ),
        "ollama",
        ("qwen3:4b",),
        False,
    ),
    "lm-studio": (
        # It answers paths that it does not know with 200.
        Script(
            {"/v1/models": (200, models("m", owned_by="organization_owner")), "/api/v0/models": (200, LM_STUDIO)},
            "",
            (200, {"error": "Unexpected endpoint or method."}),
        ),
        "lm-studio",
        ("m",),
        False,
    ),
    "litellm with a key": (
        Script({"/v1/models": (401, NO_KEY), "/health/liveliness": (200, "I'm alive!")}, "uvicorn"),
        "litellm",
        (),
        True,
    ),
    "mlx_lm.server": (
        Script({"/v1/models": (200, models("m")), "/health": (200, {"status": "ok"})}),
        "mlx_lm.server",
        ("m",),
        False,
    ),
    "mcp-local-llm": (
        Script({"/v1/models": (200, models("m", owned_by="mcp-local-llm"))}, ""),
        "mcp-local-llm",
        ("m",),
        False,
    ),
    "mcp-local-llm with a key": (
        Script(
            {"/v1/models": (401, NO_KEY), "/health": (200, {"status": "ok", "server": "mcp-local-llm"})},
            "",
            (401, NO_KEY),
        ),
        "mcp-local-llm",
        (),
        True,
    ),
    "some other OpenAI-compatible server": (Script({"/v1/models": (200, models("m"))}, "x"), None, ("m",), False),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_is_recognised(kind: str) -> None:
    script, flavor, names, locked = KINDS[kind]
    with serving(script) as port:
        assert [
            (seen.port, seen.flavor, seen.models, seen.locked, seen.url) for seen in await look_at_ports([port])
        ] == [(port, flavor, names, locked, f"http://127.0.0.1:{port}/v1")]
    assert script.asked[0] == "/v1/models"


OTHERS: dict[str, Script] = {
    "a web server": Script({}, "nginx", (404, b"<html>not here</html>")),
    "a web page for every path": Script({}, "nginx", (200, b"<html>hello</html>")),
    "JSON that is no list of models": Script({}, "x", (200, {"data": "none"})),
    "an endless nesting": Script({}, "x", (200, b"[" * 100_000)),
}


@pytest.mark.parametrize("kind", OTHERS)
async def test_what_is_no_such_server_is_passed_over(kind: str) -> None:
    with serving(OTHERS[kind]) as port:
        assert await look_at_ports([port]) == ()


async def test_all_ports_are_asked_and_their_order_kept() -> None:
    with ExitStack() as stack:
        ports = [stack.enter_context(serving(KINDS[kind][0])) for kind in ("vllm", "ollama")]
        free = free_port()
        seen = await look_at_ports([ports[1], free, ports[0], ports[1]])
    assert [(one.port, one.flavor) for one in seen] == [(ports[1], "ollama"), (ports[0], "vllm")]


async def test_a_port_that_takes_a_request_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "ANSWER_TIMEOUT_S", 0.05)
    over = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    listener = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with listener:
        assert await look_at_ports([listener.sockets[0].getsockname()[1]]) == ()
        over.set()


async def test_an_endpoint_of_the_settings_lists_its_models_or_says_why_not() -> None:
    with serving(Script({"/v1/models": (200, models("a", "b"))})) as port:
        assert await list_endpoint(at(port), {}) == ("a", "b")
    with serving(Script({"/v1/models": (401, NO_KEY)})) as port:
        with pytest.raises(ConfigError, match="wants an API key"):
            await list_endpoint(at(port), {})
        with pytest.raises(ConfigError, match="BOX_KEY"):
            await list_endpoint(at(port, "BOX_KEY"), {})
    with serving(Script({}, other=(200, b"hello"))) as port, pytest.raises(BackendProtocolError, match="no list"):
        await list_endpoint(at(port), {})
    with pytest.raises(BackendUnavailableError, match="cannot be reached"):
        await list_endpoint(at(free_port()), {})


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://127.0.0.1:8080/v1", 8080),
        ("http://localhost:1/v1", 1),
        ("http://[::1]:2/v1", 2),
        ("http://localhost/v1", 80),
        ("https://localhost/v1", 443),
        ("http://192.168.1.2:8080/v1", None),
        ("http://[::1", None),
        ("http://localhost:99999/v1", None),
        ("", None),
    ],
)
def test_a_url_of_this_machine_is_told_by_its_port(url: str, port: int | None) -> None:
    assert loopback_port(url) == port


def test_a_sighting_has_the_url_for_the_settings() -> None:
    assert DetectedServer(1234, "lm-studio").url == "http://127.0.0.1:1234/v1"


def at(port: int, key: str | None = None) -> Endpoint:
    return Endpoint(name="box", url=f"http://127.0.0.1:{port}/v1", api_key_env=key)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
