"""The end of the process: soon and in order, whatever it is doing."""

import signal
from collections.abc import Awaitable, Callable

import pytest

from tests.wire import Wire, open_wire

PROMPTLY_S = 5.0
"""Far above what is measured (`benchmarks/startup.py`); a machine may be busy."""


async def leave(wire: Wire) -> None:
    await wire.close_stdin()


async def interrupt(wire: Wire) -> None:
    wire.process.send_signal(signal.SIGINT)


async def terminate(wire: Wire) -> None:
    wire.process.send_signal(signal.SIGTERM)


async def idle(wire: Wire) -> None:
    await wire.answer(await wire.call("status"))


async def loading(wire: Wire) -> None:
    words = await wire.progress(await wire.call("chat", message="Hello"))
    assert words == ["loading"]


async def generating(wire: Wire) -> None:
    await wire.answer(await wire.call("chat", message="Hello"))
    request = await wire.call("chat", message="Repeat the word la forever.", thinking=False, max_tokens=3900)
    await wire.progress(request, 2)
    assert not wire.answers(request)


Step = Callable[[Wire], Awaitable[None]]


SWEEP = pytest.mark.sweep
MOMENTS = [
    (leave, generating),
    (interrupt, loading),
    (terminate, idle),
    pytest.param(leave, idle, marks=SWEEP),
    pytest.param(leave, loading, marks=SWEEP),
]
"""Signals in every phase are in `tests/reliability/test_signals.py`."""


@pytest.mark.parametrize(("end", "state"), MOMENTS)
async def test_the_process_ends_promptly_and_in_order(environ: dict[str, str], state: Step, end: Step) -> None:
    async with open_wire(environ) as wire:
        await state(wire)
        await end(wire)
        assert await wire.ended(within=PROMPTLY_S) == 0
        assert "Traceback" not in wire.errors()
        wire.messages()


@pytest.mark.fault(
    "Clients that misbehave", "a client is gone: both pipes of its server break", "the process ends within 5 s", tries=2
)
@pytest.mark.parametrize("state", [idle, loading, generating])
async def test_a_client_that_vanishes_takes_the_process_with_it(
    environ: dict[str, str], era: str, state: Step, attempt: int
) -> None:
    async with open_wire(environ, era) as wire:
        await state(wire)
        await wire.vanish()
        await wire.ended(within=PROMPTLY_S)


@pytest.mark.fault(
    "Clients that misbehave",
    "a client closes the pipe of the answers, and sends on",
    "the process ends within 5 s, in order",
    tries=2,
)
@pytest.mark.parametrize("state", [idle, generating])
async def test_a_client_that_listens_no_more_is_gone(
    environ: dict[str, str], era: str, state: Step, attempt: int
) -> None:
    async with open_wire(environ, era) as wire:
        await state(wire)
        await wire.answer(await wire.call("chat", message="Hello"))  # The model's thread must not hold the exit up.
        wire.close_stdout()
        await wire.call("status")
        assert await wire.ended(within=PROMPTLY_S) == 0
        assert "Traceback" not in wire.errors()
