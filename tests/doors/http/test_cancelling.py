"""A client that goes away stops what was computed for it."""

import json

import anyio
import httpx
import pytest

from tests.clients import WAIT_S
from tests.doors.http.door import Door, endless


@pytest.mark.parametrize("stream", [True, False])
async def test_closing_the_connection_stops_the_generation(door: Door, stream: bool) -> None:
    before = (await door.app.llm.status()).calls_answered
    async with anyio.create_task_group() as tasks, httpx.AsyncClient(base_url=door.url, timeout=WAIT_S) as leaving:
        tasks.start_soon(lambda: leaving.post("/v1/chat/completions", json=endless(stream=stream)))
        await door.until(answers=1)
        tasks.cancel_scope.cancel()
    status = await door.until(answers=0)
    assert door.in_flight.state().clients == ()
    assert status.calls_answered == before


async def test_a_stream_that_is_left_in_the_middle_stops_and_the_next_question_is_answered(door: Door) -> None:
    body = {"model": "", "prompt": "la la la", "max_tokens": 3000, "repetition_limit": 0, "stream": True}
    async with door.http.stream("POST", "/v1/completions", json=body) as reply:
        async for line in reply.aiter_lines():
            if line.startswith("data: "):
                break
    await door.until(answers=0)
    reply = await door.http.post("/v1/completions", json={**body, "max_tokens": 2, "stream": False})
    assert json.loads(reply.text)["usage"]["completion_tokens"] <= 2
