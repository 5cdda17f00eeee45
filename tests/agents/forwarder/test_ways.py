"""Which requests go to the local door, which to the API, and with whose login."""

import json
from typing import Any

import pytest

from tests.agents.forwarder.conftest import Between
from tests.agents.forwarder.rig import DOOR_KEY, LOGIN, OTHER, OURS, PATH, Caller, calling, message, posted

COUNT = "/v1/messages/count_tokens?beta=true"


async def went(between: Between, caller: Caller, path: str, body: bytes, *headers: tuple[str, str]) -> str:
    """Send a request, and say who got it."""
    before = len(between.door.requests), len(between.upstream.requests)
    response = await caller.ask("POST", path, posted(body, *headers), body)
    assert (response.status_code, await caller.body()) == (200, b"hello")
    after = len(between.door.requests), len(between.upstream.requests)
    ways = {(1, 0): "door", (0, 1): "upstream"}
    return ways[after[0] - before[0], after[1] - before[1]]


def body_of(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.parametrize("path", [PATH, COUNT, "/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize("last", [False, True], ids=["model first", "model last"])
async def test_a_request_for_our_model_goes_to_the_door(
    path: str, last: bool, between: Between, caller: Caller
) -> None:
    assert await went(between, caller, path, message(OURS, last=last)) == "door"


@pytest.mark.parametrize("path", [PATH, COUNT])
@pytest.mark.parametrize("last", [False, True], ids=["model first", "model last"])
async def test_a_request_for_any_other_model_goes_to_the_api(
    path: str, last: bool, between: Between, caller: Caller
) -> None:
    assert await went(between, caller, path, message(OTHER, last=last)) == "upstream"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"{",
        b"[]",
        b'"local-llm"',
        b'["model", "local-llm"]',
        b'{"model": 3}',
        b'{"model": null}',
        b'{"model": ["local-llm"]}',
        b'{"model" "local-llm"}',
        b'{"model": "local-llm',
        b'{"Model": "local-llm"}',
        b'{"model": "LOCAL-LLM"}',
        b'{"model": "local-llm "}',
        b'{"model": ""}',
        b'\xef\xbb\xbf{"model": "local-llm"}',
        b'{"model": "\xff"}',
        '{"model": "local-llm"}'.encode("utf-16"),
        body_of(messages=[{"model": OURS}], metadata={"model": OURS}),
        body_of(messages=[{"role": "user", "content": '"model": "local-llm"'}]),
        body_of(system='", "model": "local-llm', model=OTHER),
        message(None),
    ],
)
async def test_a_body_that_does_not_name_our_model_goes_to_the_api(
    body: bytes, between: Between, caller: Caller
) -> None:
    assert await went(between, caller, PATH, body) == "upstream"


@pytest.mark.parametrize(
    "body",
    [
        b' \r\n\t{ "model" : "local-llm" }',
        b'{"mod\\u0065l": "local\\u002dllm"}',
        json.dumps(
            {"a": {"model": OTHER}, "b": [OTHER, {"model": OTHER}], "c": '\\"}', "model": OURS}, indent=2
        ).encode(),
        body_of(messages=[{"role": "user", "content": "x" * 200_000}], model=OURS),
        body_of(model=OURS, messages=[{"role": "user", "content": "x" * 2_000_000}]),
    ],
    ids=["spaces", "escapes", "nested", "large", "large, model first"],
)
async def test_our_model_is_found_wherever_and_however_the_body_names_it(
    body: bytes, between: Between, caller: Caller
) -> None:
    assert await went(between, caller, PATH, body) == "door"


@pytest.mark.parametrize("coding", ["gzip", "zstd", "br"])
async def test_a_compressed_body_goes_to_the_api(coding: str, between: Between, caller: Caller) -> None:
    assert await went(between, caller, PATH, message(OURS), ("Content-Encoding", coding)) == "upstream"


@pytest.mark.parametrize(
    "path",
    ["/v1/models", "/v1/messages/batches", "/v1/messages/", "/v1/messagesx", "/x/v1/messages", "//v1/messages", "/"],
)
async def test_other_paths_go_to_the_api_whatever_their_body_names(path: str, between: Between, caller: Caller) -> None:
    assert await went(between, caller, path, message(OURS)) == "upstream"
    assert between.upstream.requests[-1].target == path.encode()


async def test_the_users_login_never_reaches_the_door_nor_the_doors_key_the_api(
    between: Between, caller: Caller
) -> None:
    body, more = message(OURS), ("X-Claude-Code-Session-Id", "one")
    assert await went(between, caller, PATH, body, more) == "door"
    headers = between.door.headers()
    assert LOGIN not in json.dumps(headers)
    assert headers["authorization"] == f"Bearer {DOOR_KEY}"
    assert headers["host"] == between.door.url.removeprefix("http://")
    kept = {"content-type", "content-length", "anthropic-version", "x-claude-code-session-id"}
    assert set(headers) == {"host", "authorization", *kept}
    assert between.door.requests[-1].target == PATH.encode()
    assert await went(between, caller, PATH, message(OTHER)) == "upstream"
    headers = between.upstream.headers()
    assert {headers[name] for name in ("x-api-key", "cookie", "x-gateway")} == {LOGIN}
    assert headers["authorization"] == f"Bearer {LOGIN}"
    assert DOOR_KEY not in json.dumps(headers)
    assert between.url.rpartition("/")[2] not in str(between.upstream.requests[-1])


@pytest.mark.parametrize("key", ["", "/", "/wrong", "/{key}x", "/x{key}", "//{key}", "/{key}%2f"])
@pytest.mark.parametrize("model", [OURS, OTHER])
async def test_without_the_key_nothing_is_passed_on(key: str, model: str, between: Between) -> None:
    base, _, own = between.url.rpartition("/")
    before = len(between.door.requests), len(between.upstream.requests)
    async with calling(base + key.format(key=own)) as stranger:
        body = message(model)
        response = await stranger.ask("POST", PATH, posted(body), body)
        told = json.loads(await stranger.body())
    assert response.status_code == 403
    assert (told["type"], told["error"]["type"]) == ("error", "permission_error")
    assert (len(between.door.requests), len(between.upstream.requests)) == before


async def test_an_address_as_target_reaches_no_other_host(between: Between) -> None:
    async with calling(between.url) as stranger:
        await stranger.stream.send(f"GET {between.upstream.url}/v1/models HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        stranger.conn = type(stranger.conn)(stranger.conn.our_role)
        answer = await stranger.stream.receive()
    assert answer.startswith(b"HTTP/1.1 403 ")
