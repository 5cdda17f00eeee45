"""Cancelling over the wire, at any moment of a call."""

import random

import pytest

from tests.process.conftest import LARGE, SMALL
from tests.wire import Wire, open_wire

LONG = "Repeat the word la forever."
PADDING = "word " * 600
GREETING = "Hello! How can I help you today?"


@pytest.mark.slow
@pytest.mark.parametrize("cancels", [6, pytest.param(20, marks=pytest.mark.sweep)])
async def test_many_cancels_in_a_row_leave_nothing_behind(
    environ: dict[str, str], era: str, hub: object, cancels: int
) -> None:
    moments = random.Random(f"moments of {era}")
    async with open_wire(environ, era) as wire:
        cancelled = [await begin_and_cancel(wire, moments) for _ in range(cancels)]
        last = await wire.call("chat", message="Hello", model=SMALL)
        assert await wire.text(last) == GREETING
        after = len(wire.lines)
        now = (await wire.answer(await wire.call("status")))["result"]["structuredContent"]
        assert (now["state"], now["model"], now["calls_running"], now["calls_answered"]) == ("ready", SMALL, 0, 1)
        assert [request for request in cancelled if wire.answers(request)] == []
        assert len(wire.lines) == after + 1, "something came for a call that was given up"
        await wire.close_stdin()
        assert await wire.ended() == 0
        assert "Traceback" not in wire.errors()


async def begin_and_cancel(wire: Wire, moments: random.Random) -> int:
    """Start a call that would load, prefill or decode for long, and give it up after some steps of progress."""
    model = moments.choice([SMALL, LARGE])
    message = LONG + PADDING * moments.randrange(2)
    request = await wire.call("chat", message=message, model=model, thinking=False, max_tokens=1500)
    if steps := moments.randrange(3):
        await wire.progress(request, steps)
    await wire.cancel(request)
    return request


async def test_a_cancel_for_a_call_that_is_over_is_ignored(environ: dict[str, str], era: str) -> None:
    async with open_wire(environ, era) as wire:
        request = await wire.call("chat", message="Hello")
        assert await wire.text(request) == GREETING
        await wire.cancel(request)
        assert await wire.text(await wire.call("chat", message="Hello")) == GREETING


async def test_cancelling_one_of_two_calls_leaves_the_other(environ: dict[str, str], era: str) -> None:
    async with open_wire(environ, era) as wire:
        first = await wire.call("chat", message=LONG, thinking=False, max_tokens=1500)
        await wire.progress(first, 2)
        second = await wire.call("chat", message="Count from 1 to 20.", thinking=False)
        await wire.cancel(first)
        assert (await wire.text(second)).endswith("18, 19, 20")
        assert not wire.answers(first)


async def test_the_load_that_one_caller_gives_up_is_done_for_the_next(environ: dict[str, str], era: str) -> None:
    async with open_wire(environ, era) as wire:
        first = await wire.call("chat", message="Hello")
        assert await wire.progress(first) == ["loading"]
        second = await wire.call("chat", message="Hello")
        await wire.cancel(first)
        assert await wire.text(second) == GREETING
        assert not wire.answers(first)
