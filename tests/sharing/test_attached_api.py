"""What one session tells of another's model: two composed applications in one private home, on real sockets."""

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx
import pytest

from mcp_local_llm.app import App
from mcp_local_llm.doors.http import InFlightAnswers, bind_tcp, build_api, serving
from mcp_local_llm.values.progress import Progress
from tests.apps import opened
from tests.clients import POLL_S, WAIT_S, private_environ
from tests.doors.http.door import Json, events
from tests.sharing.sessions import LARGE, SMALL

ONCE = {"model": SMALL, "prompt": " Once upon a time", "max_tokens": 24, "temperature": 0.0}


@dataclass(frozen=True)
class Pair:
    """A session that holds the model, one that is attached to it, and the HTTP door of each."""

    holder: App
    other: App
    at_holder: httpx.AsyncClient
    at_other: httpx.AsyncClient


def ignore(progress: Progress) -> None:
    """Take progress that no test here looks at."""


@asynccontextmanager
async def door(app: App) -> AsyncGenerator[httpx.AsyncClient]:
    """Serve `app` on a free port, as `mcp-local-llm serve` does."""
    listener = bind_tcp("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with (
        serving(build_api(app.llm, InFlightAnswers()), listener),
        httpx.AsyncClient(base_url=url, timeout=WAIT_S) as http,
    ):
        yield http


@pytest.fixture
async def pair(home: Path, hub: Path) -> AsyncGenerator[Pair]:
    environ = {**private_environ(home), "MCP_LOCAL_LLM_BATCH_SIZE": "1"}
    async with (
        opened(environ, home) as holder,
        opened(environ, home) as other,
        door(holder) as at_holder,
        door(other) as at_other,
    ):
        # The one that is asked first holds the model.
        await holder.llm.set_model(SMALL, ignore)
        yield Pair(holder, other, at_holder, at_other)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_raw_prompt_is_continued_through_another_holder_as_by_it(pair: Pair, stream: bool) -> None:
    texts: list[str] = []
    for http in (pair.at_holder, pair.at_other):
        reply = await http.post("/v1/completions", json={**ONCE, "stream": stream})
        assert reply.status_code == 200, reply.text
        told: list[Json] = events(reply.text) if stream else [reply.json()]
        assert {event["object"] for event in told} == {"text_completion"}
        assert told[-1]["choices"][0]["finish_reason"] == "length"
        texts.append("".join(event["choices"][0]["text"] for event in told))
    assert texts[0] == texts[1] != ""
    assert (await pair.other.llm.counters()).completion_tokens == 48
    assert (await pair.other.llm.status()).holder_pid == os.getpid()


async def test_a_raw_prompt_of_a_profile_takes_its_sampling_and_no_template_s_switches(home: Path, hub: Path) -> None:
    folder = home / ".config" / "mcp-local-llm"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(
        f'[profiles.brief]\nmodel = "{SMALL}"\ntemperature = 0.0\nthinking = true\nmax_thinking_tokens = 9\n'
    )
    environ = private_environ(home)
    async with opened(environ, home) as holder, opened(environ, home) as other, door(other) as http:
        await holder.llm.set_model(SMALL, ignore)
        names = [entry["id"] for entry in (await http.get("/v1/models")).json()["data"]]
        assert names.index("brief") < names.index(LARGE)
        reply = await http.post("/v1/completions", json={"model": "brief", "prompt": "Once", "max_tokens": 4})
        assert reply.status_code == 200, reply.text
        assert reply.json()["usage"]["completion_tokens"] == 4


@pytest.mark.parametrize(("levels", "status"), [(200, 200), (300, 400), (900, 400)])
async def test_a_past_call_whose_arguments_are_nested_deep_fails_no_more_than_its_own_request(
    pair: Pair, levels: int, status: int
) -> None:
    function = {"name": "f", "arguments": '{"a":' * levels + "1" + "}" * levels}
    past = {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "type": "function", "function": function}]}
    result = {"role": "tool", "tool_call_id": "1", "content": "x"}
    body = {"model": SMALL, "messages": [{"role": "user", "content": "Hello"}, past, result], "max_tokens": 2}
    reply = await pair.at_other.post("/v1/chat/completions", json=body)
    assert reply.status_code == status, reply.text
    assert status == 200 or "are nested" in reply.json()["error"]["message"]


async def test_a_change_of_model_from_an_attached_session_tells_what_changed_at_the_holder(pair: Pair) -> None:
    first = await pair.other.llm.set_model(SMALL, ignore)
    assert (first.loaded, first.previous) == (False, None)
    await pair.holder.llm.set_model(LARGE, ignore)
    second = await pair.other.llm.set_model(SMALL, ignore)
    assert (second.loaded, second.previous) == (True, LARGE)
    third = await pair.other.llm.set_model(LARGE, ignore)
    assert (third.loaded, third.previous) == (True, SMALL)


async def test_every_session_tells_the_same_of_calls_that_run_and_wait(pair: Pair) -> None:
    endless = {**ONCE, "prompt": "la la la", "max_tokens": 3900, "repetition_limit": 0}
    alone = await pair.holder.llm.status()
    assert (alone.holder_pid, alone.pid, alone.clients) == (os.getpid(), os.getpid(), 0)
    async with anyio.create_task_group() as tasks:
        for http in (pair.at_holder, pair.at_other, pair.at_other):
            tasks.start_soon(lambda http: http.post("/v1/completions", json=endless), http)
        with anyio.fail_after(WAIT_S):
            while ((own := await pair.holder.llm.status()).calls_running, own.waiting) != (1, 2):
                # The holder's own status waits for nothing.
                await anyio.lowlevel.checkpoint()
        seen = await pair.other.llm.status()
        assert (seen.calls_running, seen.waiting) == (1, 2)
        # Both applications are in this process.
        assert (own.holder_pid, own.clients) == (seen.holder_pid, seen.clients) == (os.getpid(), 1)
        told = (await pair.at_holder.get("/metrics")).text.splitlines()
        assert "mcp_local_llm_requests_running 1" in told
        assert "mcp_local_llm_requests_waiting 2" in told
        assert "mcp_local_llm_sessions 1" in told
        tasks.cancel_scope.cancel()
    with anyio.fail_after(WAIT_S):
        while (now := await pair.other.llm.status()).calls_running or now.waiting:
            await anyio.sleep(POLL_S)


@pytest.mark.slow
async def test_a_stream_names_the_model_that_answers_it_though_another_one_is_being_chosen(pair: Pair) -> None:
    body = {**ONCE, "max_tokens": 600, "repetition_limit": 0, "stream": True}
    for http in (pair.at_holder, pair.at_other):
        lines: list[str] = []
        await pair.holder.llm.set_model(SMALL, ignore)
        async with http.stream("POST", "/v1/completions", json=body) as reply, anyio.create_task_group() as tasks:
            stream = reply.aiter_lines()
            lines.append(await anext(stream))
            tasks.start_soon(pair.holder.llm.set_model, LARGE, ignore)
            with anyio.fail_after(WAIT_S):
                while (await pair.holder.llm.status()).state != "draining":
                    await anyio.lowlevel.checkpoint()
            lines += [line async for line in stream]
        told = [json.loads(line[6:]) for line in lines if line.startswith("data: ") and line != "data: [DONE]"]
        assert {event["model"] for event in told} == {SMALL}
        assert (await pair.holder.llm.status()).model == LARGE


async def test_a_forced_call_from_an_attached_session_is_forced_at_the_holder(pair: Pair) -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("look", "listen")]
    asked = {
        "model": SMALL,
        "messages": [{"role": "user", "content": "Hello"}],
        "tools": tools,
        "tool_choice": {"type": "function", "function": {"name": "listen"}},
        "parallel_tool_calls": False,
        "max_tokens": 400,
    }
    for http in (pair.at_holder, pair.at_other):
        choice = (await http.post("/v1/chat/completions", json=asked)).json()["choices"][0]
        assert [call["function"]["name"] for call in choice["message"]["tool_calls"]] == ["listen"]
