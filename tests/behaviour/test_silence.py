"""A model that says nothing for long is waited for, with progress, wherever it is asked.

The time lapses: no test waits. Forty seconds are what a large model takes to load; the silence goes on for ten minutes,
which an attached session bears only because the holder sends a sign of life every few seconds. A server of somebody
else that loads or reads its prompt looks the same from here, unless it tells so (`tests/engines/http/test_quirks.py`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import cast

import anyio
import pytest

from mcp_local_llm.llm.remote import SILENCE_S
from mcp_local_llm.values.chat import ChatRequest, ChatResult, Message, SamplingParams
from mcp_local_llm.values.engine import Engine
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.progress import Progress, ReportProgress
from tests.behaviour.cases import CASES, ENDLESS, outcome, question
from tests.behaviour.places import ALL, OWN, PINGED, Place, World, answer, ignore
from tests.clients import POLL_S, WAIT_S
from tests.virtual_time import TimeLapseLoop

CASE = "closed thinking"
SILENCES = (40.0, 60 * SILENCE_S)
"""Seconds, one after the other."""
ENDLESS_REQUEST = ChatRequest(
    (Message(role="user", content=ENDLESS),), sampling=SamplingParams(max_tokens=130_000, repetition_limit=0)
)


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Callable[[], TimeLapseLoop]]]:
    return "asyncio", {"loop_factory": TimeLapseLoop}


async def waited_for(
    place: Place, begun: Callable[[list[Progress]], Awaitable[None]], go_on: Callable[[], object]
) -> tuple[ChatResult, Progress]:
    """Ask; once the silence has `begun`, see that the caller waits as long as it lasts; then `go_on`.

    Returns the result, and the last progress that was told in the silence.
    """
    told: list[Progress] = []
    loop = cast(TimeLapseLoop, asyncio.get_running_loop())
    asked = asyncio.create_task(answer(place, question(CASE), told.append))
    try:
        with anyio.fail_after(sum(SILENCES) + WAIT_S):
            await begun(told)
            for seconds in SILENCES:
                await loop.lapse(seconds)
                assert not asked.done()
            heard = told[-1]
            go_on()
            return await asked, heard
    finally:
        asked.cancel()
        go_on()


@pytest.mark.parametrize("name", OWN)
async def test_a_long_wait_for_the_first_token_is_borne(world: World, name: str) -> None:
    # Calls are answered one at a time, and another one is at it.
    place, blocking = world.places[name], anyio.CancelScope()
    speaks = anyio.Event()

    def listen(progress: Progress) -> None:
        if progress.phase == "answer":
            speaks.set()

    async def block() -> None:
        with blocking:
            async with aclosing(world.places[OWN[0]].ask(ENDLESS_REQUEST, listen)) as chunks:
                async for _ in chunks:
                    pass

    in_queue = PINGED.get(name, Progress("queued", 1))

    async def in_line(told: list[Progress]) -> None:
        while in_queue not in told:
            await anyio.sleep(POLL_S)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(block)
        await speaks.wait()
        result, heard = await waited_for(place, in_line, blocking.cancel)
        assert heard == in_queue
        assert outcome(result) == CASES[CASE].outcome()


async def test_a_server_of_somebody_else_that_says_nothing_is_waited_for(world: World) -> None:
    place = world.places[ALL[-1]]

    async def taken(told: list[Progress]) -> None:
        while not await place.running():
            await anyio.sleep(POLL_S)

    world.foreign.ready.clear()
    result, heard = await waited_for(place, taken, world.foreign.ready.set)
    assert heard == Progress("prefill")
    assert outcome(result) == CASES[CASE].outcome()


@pytest.mark.parametrize("name", OWN)
async def test_a_long_load_is_waited_for(world: World, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = world.places[name]
    await world.holder.llm.unload(ignore)
    backend, reading, go_on = world.holder.engines.mlx, anyio.Event(), anyio.Event()
    assert backend is not None
    load = backend.load

    async def slow(model: ModelInfo, report: ReportProgress) -> Engine:
        report(Progress("loading", 1, 4))
        reading.set()
        await go_on.wait()
        return await load(model, report)

    monkeypatch.setattr(backend, "load", slow)
    result, heard = await waited_for(place, lambda _: reading.wait(), go_on.set)
    assert heard == PINGED.get(name, Progress("loading", 1, 4))
    assert outcome(result) == CASES[CASE].outcome()
