"""A caller that gives up ends what is computed for it, wherever that is.

The answer has no end, and several more wait for its place: one that went on where it is computed would keep the next
question out for longer than any test waits. At a server of somebody else, what ends it is the connection, which closes.
"""

import anyio
import pytest

from mcp_local_llm.values.chat import ChatRequest, Message, SamplingParams
from mcp_local_llm.values.progress import Progress
from tests.behaviour.cases import CASES, ENDLESS, outcome, question
from tests.behaviour.places import ALL, OWN, PINGED, Place, World, answer
from tests.clients import POLL_S, WAIT_S

CALLS = 8
"""Each of them could go on for `MANY` tokens: a million together."""
MANY = 130_000


def endless(place: str) -> ChatRequest:
    # A server of somebody else knows no limit of repetition, and ours would end the answer by it.
    ours = place in OWN
    limits = SamplingParams(max_tokens=MANY, repetition_limit=0) if ours else SamplingParams()
    return ChatRequest((Message(role="user", content=ENDLESS),), sampling=limits, stream=True)


def speaking(place: str, step: Progress) -> bool:
    return step.phase == "answer" or step == PINGED.get(place)


async def still(place: Place, answers: int) -> None:
    """Wait until so many answers are under way where the model is."""
    while await place.running() != answers:
        await anyio.sleep(POLL_S)


@pytest.mark.parametrize("name", ALL)
async def test_cancelling_ends_the_answers_where_the_model_is(world: World, name: str) -> None:
    place = world.places[name]
    before, speaks = await place.finished(), anyio.Event()

    async def listen() -> None:
        await answer(place, endless(name), lambda step: speaks.set() if speaking(name, step) else None)

    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as tasks:
            for _ in range(CALLS):
                tasks.start_soon(listen)
            await speaks.wait()
            await still(place, CALLS)
            tasks.cancel_scope.cancel()
        await still(place, 0)
        result = await answer(place, question("closed thinking"))
    assert outcome(result) == CASES["closed thinking"].outcome()
    assert await place.finished() == before + 1


@pytest.mark.parametrize("name", ALL)
async def test_an_answer_that_is_left_in_the_middle_ends_where_the_model_is(world: World, name: str) -> None:
    place = world.places[name]
    before = await place.finished()
    leaving = anyio.CancelScope()

    def report(progress: Progress) -> None:
        # From here the stream is closed in the middle, as `aclosing` does it.
        if speaking(name, progress):
            leaving.cancel()

    with anyio.fail_after(WAIT_S):
        with leaving:
            await answer(place, endless(name), report)
        assert leaving.cancelled_caught
        await still(place, 0)
        assert outcome(await answer(place, question("a plain answer"))) == CASES["a plain answer"].outcome()
    assert await place.finished() == before + 1


async def test_a_server_of_somebody_else_that_says_nothing_sees_its_client_go(world: World) -> None:
    place = world.places[ALL[-1]]
    before = await place.finished()
    world.foreign.ready.clear()
    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer, place, question("a plain answer"))
            await still(place, 1)
            tasks.cancel_scope.cancel()
        await still(place, 0)
    world.foreign.ready.set()
    assert await place.finished() == before
