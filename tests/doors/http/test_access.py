"""Who may ask over TCP: no foreign page, no rebound name, nobody without the key."""

from collections.abc import AsyncGenerator

import httpx
import pytest

from mcp_local_llm.app import App
from mcp_local_llm.doors.http import access_rules
from mcp_local_llm.values.errors import ConfigError
from tests.doors.http.conftest import open_door
from tests.doors.http.door import Door

KEY = "a-long-random-text"


@pytest.fixture(scope="module")
async def locked(shared_app: App) -> AsyncGenerator[Door]:
    async with open_door(shared_app, access_rules("127.0.0.1", KEY)) as opened:
        yield opened


@pytest.fixture(scope="module")
async def shared(shared_app: App) -> AsyncGenerator[Door]:
    """A door with a key that the settings open to some hosts and origins."""
    hosts = ("host.docker.internal", "*.lan")
    origins = ("app://obsidian.md", "vscode-webview://*", "http://localhost:*", "null")
    async with open_door(shared_app, access_rules("127.0.0.1", KEY, hosts=hosts, origins=origins)) as opened:
        yield opened


def code(reply: httpx.Response) -> str:
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
    return reply.json()["error"]["code"]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "192.168.1.5", "localhost.evil.example", "[::2]", ""]
)
async def test_a_foreign_host_name_is_refused(door: Door, host: str) -> None:
    reply = await door.http.get("/v1/models", headers={"Host": host})
    assert (reply.status_code, code(reply)) == (403, "host_not_allowed")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:11535", "127.8.9.1", "[::1]:99"])
async def test_the_names_of_the_loopback_are_known(door: Door, host: str) -> None:
    assert (await door.http.get("/v1/models", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "file://", "http://127.0.0.1.evil.example", "moz://a"]
)
async def test_a_foreign_page_is_refused(door: Door, origin: str) -> None:
    reply = await door.http.get("/v1/models", headers={"Origin": origin})
    assert (reply.status_code, code(reply)) == (403, "origin_not_allowed")


async def test_a_page_of_this_machine_may_ask(door: Door) -> None:
    assert (await door.http.get("/v1/models", headers={"Origin": "http://localhost:3000"})).status_code == 200


@pytest.mark.parametrize("given", [None, "Bearer", "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {KEY}x", "Bearer ü"])
async def test_without_the_key_nothing_is_told(locked: Door, given: str | None) -> None:
    headers = [] if given is None else [(b"Authorization", given.encode())]
    for path in ("/v1/models", "/metrics", "/nowhere"):
        reply = await locked.http.get(path, headers=headers)
        assert (reply.status_code, code(reply)) == (401, "invalid_api_key")
        assert reply.headers["www-authenticate"] == "Bearer"


async def test_the_key_opens_and_health_needs_none(locked: Door) -> None:
    assert (await locked.http.get("/v1/models", headers={"Authorization": f"Bearer {KEY}"})).status_code == 200
    assert (await locked.http.get("/health")).json() == {"status": "ok", "server": "mcp-local-llm"}


@pytest.mark.parametrize("path", ["hello", "status", "set_model", "load", "drain", "unload"])
async def test_what_steers_the_process_is_not_on_tcp(door: Door, path: str) -> None:
    for answer in (await door.http.get(f"/control/{path}"), await door.http.post(f"/control/{path}", json={})):
        assert answer.status_code == 404


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "box.lan"])
def test_other_machines_are_let_in_only_with_a_key(host: str) -> None:
    with pytest.raises(ConfigError, match="MCP_LOCAL_LLM_API_KEY"):
        access_rules(host, None)


@pytest.mark.parametrize(
    ("listens", "name", "known"),
    [
        ("127.0.0.1", "192.168.1.5", False),
        ("0.0.0.0", "192.168.1.5", True),
        ("::", "fe80::1", True),
        ("0.0.0.0", "evil.example", False),
        ("192.168.1.5", "192.168.1.5", True),
        ("192.168.1.5", "192.168.1.6", False),
        ("box.lan", "BOX.lan.", True),
        ("box.lan", "localhost", True),
    ],
)
def test_a_server_knows_the_names_that_it_is_reached_by(listens: str, name: str, known: bool) -> None:
    assert access_rules(listens, KEY).knows(name) is known


@pytest.mark.parametrize("host", ["host.docker.internal:11535", "HOST.docker.internal", "box.lan", "localhost"])
async def test_a_host_of_the_settings_is_known(shared: Door, host: str) -> None:
    headers = {"Host": host, "Authorization": f"Bearer {KEY}"}
    assert (await shared.http.get("/v1/models", headers=headers)).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "lan", "box.lan.evil.example", "host.docker.internal.evil"])
async def test_other_hosts_stay_outside(shared: Door, host: str) -> None:
    assert code(await shared.http.get("/v1/models", headers={"Host": host})) == "host_not_allowed"


ORIGINS = ["app://obsidian.md", "vscode-webview://1ab2c", "http://localhost:3000", "null"]


@pytest.mark.parametrize("origin", ORIGINS)
async def test_a_page_of_the_settings_is_told_what_it_may_send_before_it_has_the_key(shared: Door, origin: str) -> None:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,x-stainless-os"}
    headers = {"Origin": origin, **asks, "Access-Control-Request-Private-Network": "true"}
    reply = await shared.http.options("/v1/chat/completions", headers=headers)
    assert (reply.status_code, reply.content) == (204, b"")
    assert reply.headers["access-control-allow-origin"] == origin
    assert "POST" in reply.headers["access-control-allow-methods"]
    assert reply.headers["access-control-allow-headers"] == "authorization,x-stainless-os"
    assert reply.headers["access-control-allow-private-network"] == "true"
    assert "Origin" in reply.headers["vary"]


@pytest.mark.parametrize("origin", ORIGINS)
async def test_a_page_of_the_settings_can_read_answers_and_refusals(shared: Door, origin: str) -> None:
    for key, status in ((KEY, 200), ("wrong", 401)):
        headers = {"Origin": origin, "Authorization": f"Bearer {key}"}
        reply = await shared.http.get("/v1/models", headers=headers)
        assert reply.status_code == status
        assert reply.headers["access-control-allow-origin"] == origin
        assert "Origin" in reply.headers["vary"]


@pytest.mark.parametrize("origin", ["app://obsidian.md.evil", "http://localhost.evil:3000", "file://"])
async def test_other_pages_stay_outside(shared: Door, origin: str) -> None:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    reply = await shared.http.options("/v1/chat/completions", headers=headers)
    assert (reply.status_code, code(reply)) == (403, "origin_not_allowed")
    assert "allowed_origins" in reply.text
    assert "access-control-allow-origin" not in reply.headers


async def test_without_the_settings_no_page_can_read_anything(door: Door) -> None:
    headers = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    for reply in (
        await door.http.options("/v1/models", headers=headers),
        await door.http.get("/v1/models", headers=headers),
    ):
        assert not [name for name in reply.headers if name.startswith("access-control")]


def test_a_star_lets_every_host_and_page_in() -> None:
    rules = access_rules("127.0.0.1", None, hosts=("*",), origins=("*",))
    assert rules.lets_host("evil.example")
    assert rules.shares_with("null")
    assert not access_rules("127.0.0.1", None, hosts=("*",)).shares_with("http://evil.example")


async def test_a_long_wrong_host_is_not_repeated_in_full(door: Door) -> None:
    for headers in ({"Host": "x" * 20_000}, {"Origin": f"http://{'x' * 20_000}"}):
        assert len((await door.http.get("/v1/models", headers=headers)).content) < 500
