"""The Messages API before the built-in model: answers whole and as events, counts, and errors."""

from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from mcp_local_llm.app import App
from mcp_local_llm.doors.http import access_rules
from mcp_local_llm.values.errors import ModelLoadError
from tests.apps import opened
from tests.clients import WAIT_S, private_environ
from tests.doors.http.conftest import open_door
from tests.doors.http.door import ENDLESS, LEGS, Door
from tests.doors.http.messages.streams import Json, events, message

PATH = "/v1/messages?beta=true"
COUNT = "/v1/messages/count_tokens?beta=true"
WEATHER: Json = {
    "name": "get_weather",
    "description": "Tells the weather.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
PARIS = "What is the weather in Paris?"
THINK = {"thinking": {"type": "adaptive"}}


def asked(text: str, **fields: Any) -> Json:
    return {"model": "", "max_tokens": 300, "messages": [{"role": "user", "content": text}], **fields}


def endless(**fields: Any) -> Json:
    return asked(ENDLESS, **{"max_tokens": 3000, **fields})


async def both(door: Door, body: Json) -> tuple[Json, Json]:
    """The answer in one piece and the joined stream, without what is different each time."""
    whole = await door.http.post(PATH, json=body)
    assert whole.status_code == 200, whole.text
    stream = await door.http.post(PATH, json={**body, "stream": True})
    assert stream.headers["content-type"].startswith("text/event-stream")
    told = whole.json(), message(stream.text)
    for answer in told:
        assert answer["id"].startswith("msg_")
        assert (answer["type"], answer["role"], answer["model"]) == ("message", "assistant", "tiny")
    return told


def alike(answer: Json) -> Json:
    content = [{name: value for name, value in block.items() if name != "id"} for block in answer["content"]]
    return {**{name: answer[name] for name in ("stop_reason", "stop_sequence")}, "content": content}


def error(reply: httpx.Response, status: int, kind: str) -> str:
    """The message of an error, which must be in Anthropic's envelope."""
    assert reply.status_code == status, reply.text
    body = reply.json()
    assert set(body) == {"type", "error", "request_id"}
    assert (body["type"], body["error"]["type"]) == ("error", kind)
    assert reply.headers.get("request-id", body["request_id"]) == body["request_id"]
    return body["error"]["message"]


@pytest.mark.parametrize(
    ("body", "kinds", "stop"),
    [
        (asked(LEGS, **THINK), ["thinking", "text"], "end_turn"),
        (asked(LEGS), ["text"], "end_turn"),
        (asked(PARIS, tools=[WEATHER]), ["text", "tool_use"], "tool_use"),
        (asked("Hello", tools=[WEATHER], tool_choice={"type": "any"}), ["text", "tool_use"], "tool_use"),
        (asked(PARIS, tools=[WEATHER], tool_choice={"type": "none"}), ["text"], "end_turn"),
        (endless(max_tokens=5), ["text"], "max_tokens"),
        (endless(stop_sequences=["la la la"]), ["text"], "stop_sequence"),
        (
            asked(LEGS, output_config={"format": {"type": "json_schema", "schema": {"enum": [{"legs": 10}]}}}),
            ["text"],
            "end_turn",
        ),
    ],
    ids=["thinking", "plain", "call", "required call", "no call", "length", "stop sequence", "schema"],
)
async def test_a_stream_joins_to_the_answer_in_one_piece(door: Door, body: Json, kinds: list[str], stop: str) -> None:
    whole, stream = await both(door, body)
    assert alike(whole) == alike(stream)
    assert [block["type"] for block in whole["content"]] == kinds
    assert whole["stop_reason"] == stop
    assert whole["stop_sequence"] == ("la la la" if stop == "stop_sequence" else None)


async def test_counted_tokens_are_the_usage_of_the_same_request(door: Door) -> None:
    body = asked(PARIS, tools=[WEATHER], system="Be brief.", **THINK)
    counted = (await door.http.post(COUNT, json={k: v for k, v in body.items() if k != "max_tokens"})).json()
    for answer in await both(door, body):
        usage = answer["usage"]
        assert counted == {"input_tokens": usage["input_tokens"] + usage["cache_read_input_tokens"]}
        assert usage["cache_creation_input_tokens"] == 0
        assert usage["output_tokens"] > usage["output_tokens_details"]["thinking_tokens"] >= 0
    again, _ = await both(door, body)
    assert again["usage"]["cache_read_input_tokens"] > 0


async def test_the_first_event_tells_how_long_the_prompt_is(door: Door) -> None:
    reply = await door.http.post(PATH, json=asked(LEGS, stream=True))
    start, *_, delta, _ = events(reply.text)
    told = start["message"]["usage"]
    for name in ("input_tokens", "cache_read_input_tokens"):
        assert told[name] == delta["usage"][name]
    assert told["output_tokens"] == 0


async def test_counting_does_not_wait_for_an_answer(door: Door) -> None:
    replies = list[httpx.Response]()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: door.http.post(PATH, json=endless()))
        await door.until(answers=1)
        replies += [await door.http.post(COUNT, json=asked("foo", tools=[WEATHER])) for _ in range(3)]
        assert (await door.app.llm.status()).calls_running == 1
        tasks.cancel_scope.cancel()
    assert [reply.json() for reply in replies] == [replies[0].json()] * 3
    assert replies[0].json()["input_tokens"] > 0
    await door.until(answers=0)


async def test_the_result_of_a_tool_is_answered(door: Door) -> None:
    body = asked(PARIS, tools=[WEATHER])
    (_, call), ident = (await door.http.post(PATH, json=body)).json()["content"], "tool_use_id"
    result = {"type": "tool_result", ident: call["id"], "content": '{"temp": 18, "sky": "sunny"}'}
    turns = [*body["messages"], {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    answer = (await door.http.post(PATH, json={**body, "messages": turns})).json()
    assert answer["stop_reason"] == "end_turn"
    assert "18" in answer["content"][0]["text"]


async def test_each_call_gets_an_id_of_its_own(door: Door) -> None:
    answers = [(await both(door, asked(PARIS, tools=[WEATHER])))[0] for _ in range(2)]
    idents = [answer["content"][-1]["id"] for answer in answers]
    assert len(set(idents)) == 2
    assert all(ident.startswith("toolu_") for ident in idents)


async def test_a_closed_connection_ends_the_answer(door: Door) -> None:
    before = (await door.app.llm.status()).calls_answered
    async with door.http.stream("POST", PATH, json=endless(stream=True)) as reply:
        async for line in reply.aiter_lines():
            if "text_delta" in line:
                break
    status = await door.until(answers=0)
    assert status.calls_answered == before


@pytest.mark.parametrize("stream", [False, True])
async def test_too_long_a_prompt_is_told_in_the_words_that_make_a_client_compact(door: Door, stream: bool) -> None:
    body = asked("la " * 40_000, stream=stream)
    counted = (await door.http.post(COUNT, json=body)).json()["input_tokens"]
    told = error(await door.http.post(PATH, json=body), 400, "invalid_request_error")
    assert told == f"prompt is too long: {counted} tokens > 4096 maximum"


@pytest.mark.parametrize("stream", [False, True])
async def test_an_unknown_model_is_a_404_that_names_the_models(door: Door, stream: bool) -> None:
    for path in (PATH, COUNT):
        reply = await door.http.post(path, json={**asked(LEGS, stream=stream), "model": "claude-opus-5-5"})
        told = error(reply, 404, "not_found_error")
        assert "'claude-opus-5-5'" in told
        assert "tiny" in told


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/v1/messages", 405, "invalid_request_error"),
        ("POST", "/v1/messages/batches", 404, "not_found_error"),
        ("GET", "/v1/messages/count_tokens/", 405, "invalid_request_error"),
    ],
)
async def test_a_wrong_path_or_method_is_told_in_the_same_envelope(
    door: Door, method: str, path: str, status: int, kind: str
) -> None:
    error(await door.http.request(method, path), status, kind)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"messages": []}', b'{"messages": [{"role": "user"}]}'])
async def test_a_wrong_body_is_told_in_the_same_envelope(door: Door, content: bytes) -> None:
    for path in (PATH, COUNT):
        assert error(await door.http.post(path, content=content), 400, "invalid_request_error")


async def test_a_body_that_is_too_long_is_told_in_the_same_envelope(door: Door) -> None:
    body = b" " * (32 * 2**20 + 1)
    error(await door.http.post(PATH, content=body), 413, "request_too_large")


async def test_a_key_is_taken_as_a_bearer_and_as_x_api_key(shared_app: App) -> None:
    async with open_door(shared_app, access_rules("127.0.0.1", "secret-7")) as door:
        for headers in ({"authorization": "Bearer secret-7"}, {"x-api-key": "secret-7"}):
            assert (await door.http.post(PATH, json=asked(LEGS), headers=headers)).status_code == 200
        for headers in ({}, {"x-api-key": "secret-8"}, {"authorization": "Bearer secret-8", "x-api-key": "secret-7"}):
            told = error(await door.http.post(PATH, json=asked(LEGS), headers=headers), 401, "authentication_error")
            assert "x-api-key" in told


async def test_any_name_is_answered_where_the_setting_says_so(shared_app: App) -> None:
    async with open_door(shared_app, any_model=True) as door:
        for path in (PATH, COUNT):
            for name in ("claude-opus-5-5", "tiny", "default", "1"):
                reply = await door.http.post(path, json={**asked(LEGS), "model": name})
                assert reply.status_code == 200, reply.text
        chat = {"model": "gpt-7", "messages": [{"role": "user", "content": LEGS}]}
        assert (await door.http.post("/v1/chat/completions", json=chat)).status_code == 200


async def test_a_full_queue_is_told_before_the_headers_with_a_time(tmp_path: Path) -> None:
    environ = {**private_environ(tmp_path), "MCP_LOCAL_LLM_QUEUE_SIZE": "0", "MCP_LOCAL_LLM_BATCH_SIZE": "1"}
    async with opened(environ, tmp_path) as app, open_door(app) as door, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: door.http.post(PATH, json=endless()))
        await door.until(answers=1)
        reply = await door.http.post(PATH, json=asked(LEGS, stream=True))
        error(reply, 529, "overloaded_error")
        assert int(reply.headers["retry-after"]) > 0
        tasks.cancel_scope.cancel()


async def test_a_request_in_the_queue_gets_its_headers_and_a_ping_at_once(tmp_path: Path) -> None:
    environ = {
        **private_environ(tmp_path),
        "MCP_LOCAL_LLM_BATCH_SIZE": "1",
        "MCP_LOCAL_LLM_REPETITION_LIMIT": "0",
    }
    async with opened(environ, tmp_path) as app, open_door(app) as door:
        with anyio.fail_after(WAIT_S):
            async with door.http.stream("POST", PATH, json=endless(stream=True)) as first:
                lines = first.aiter_lines()
                assert await anext(lines) == "event: ping"
                async with door.http.stream("POST", PATH, json=asked(LEGS, stream=True)) as second:
                    waiting = second.aiter_lines()
                    assert await anext(waiting) == "event: ping"
                    assert (await app.llm.status()).waiting == 1
                # A client that leaves the queue is forgotten.
                await door.until(answers=1)
            await door.until(answers=0)


async def test_an_answer_that_fails_in_the_middle_ends_with_an_error_event(door: Door) -> None:
    async with door.http.stream("POST", PATH, json=endless(stream=True)) as reply:
        told = ""
        async for line in reply.aiter_lines():
            told += f"{line}\n"
            if "text_delta" in line:
                await door.app.llm.unload(lambda _: None, force=True)
    *_, last = events(told)
    assert set(last) == {"type", "error", "request_id"}
    assert (last["type"], last["error"]["type"]) == ("error", "api_error")
    assert "message_stop" not in told
    # The next answer loads the model again.
    assert (await door.http.post(PATH, json=asked(LEGS))).status_code == 200


async def test_a_failed_load_is_told_at_once_and_not_to_be_repeated(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ModelLoadError("The files are damaged. Download them again.")

    await door.app.llm.unload(lambda _: None)
    assert door.app.engines.mlx is not None
    monkeypatch.setattr(door.app.engines.mlx, "load", broken)
    reply = await door.http.post(PATH, json=asked(LEGS, stream=True))
    assert "damaged" in error(reply, 400, "invalid_request_error")
