"""Requests that are no requests: each gets OpenAI's envelope and a status that says what was wrong."""

import anyio
import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from mcp_local_llm.doors.http.answer_route import MAX_BODY_BYTES, json_body
from tests.clients import WAIT_S
from tests.doors.http.door import Door

CHAT = "/v1/chat/completions"
HELLO = b'{"model": "tiny", "reasoning_effort": "none", "messages": [{"role": "user", "content": "Hello"}]}'


def error(reply: httpx.Response, status: int) -> dict[str, str]:
    assert reply.status_code == status
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
    return reply.json()["error"]


async def test_a_body_that_is_announced_too_long_is_not_read(door: Door) -> None:
    port = int(door.url.rpartition(":")[2])
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MAX_BODY_BYTES + 1}\r\n\r\n{{"
    reply = b""
    with anyio.fail_after(WAIT_S):
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(head.encode())
            # To the end of the connection: what is left of the body would be read as the next request.
            async for chunk in stream:
                reply += chunk
    assert reply.startswith(b"HTTP/1.1 413 ")
    assert b'"error"' in reply


async def test_a_body_of_unknown_length_is_read_up_to_the_limit() -> None:
    messages: list[Message] = [
        {"type": "http.request", "body": b"[" * 6, "more_body": True},
        {"type": "http.request", "body": b"]" * 6, "more_body": False},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    def request() -> Request:
        return Request({"type": "http", "method": "POST", "headers": []}, receive)

    with pytest.raises(HTTPException) as caught:
        await json_body(request(), limit=11)
    assert caught.value.status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"\xff\xfe",
        b'"\\ud800"',
        b"[" * 100_000,
        b"[]",
        b"3",
        b"null",
        b'{"a":NaN}',
        b'{"seed":' + b"9" * 5000 + b"}",
        b'{"messages":[' + b"[[]]," * 200_000 + b"[]]}",
    ],
)
async def test_what_is_no_json_object_is_refused(door: Door, body: bytes) -> None:
    assert error(await door.http.post(CHAT, content=body), 400)["param"] == "body"


@pytest.mark.parametrize(
    "body",
    [
        HELLO.replace(b"Hello", b"Hello \\ud83d"),
        HELLO.replace(b"Hello", b"Hello \xff"),
        b"\xef\xbb\xbf" + HELLO,
        HELLO.decode().encode("utf-16"),
        HELLO.replace(b'"model"', b'"model": "other", "model"'),
        b"\r\n" + HELLO + b"\r\n",
    ],
    ids=["half", "bytes", "mark", "utf-16", "twice", "lines"],
)
async def test_a_body_with_small_faults_is_answered(door: Door, body: bytes) -> None:
    reply = await door.http.post(CHAT, content=body)
    assert reply.status_code == 200, reply.text
    assert reply.json()["choices"][0]["message"]["content"]


async def test_a_foreign_path_and_a_wrong_method_are_told(door: Door) -> None:
    assert "/v1/chat/completions" in error(await door.http.get("/v1/embeddings"), 404)["message"]
    assert "GET" in error(await door.http.get(CHAT), 405)["message"]


async def test_the_models_are_listed_and_each_can_be_asked_for(door: Door) -> None:
    listed = (await door.http.get("/v1/models")).json()
    assert listed["object"] == "list"
    assert [entry["id"] for entry in listed["data"]] == ["tiny"]
    assert (await door.http.get("/v1/models/tiny")).json() == listed["data"][0]
    assert error(await door.http.get("/v1/models/no/such"), 404)["code"] == "model_not_found"
