"""Signals to a stdio server that serves one session: it ends or goes on, and leaves everything whole and free."""

import signal
import sys
from random import Random

import pytest

from tests.apps import opened
from tests.clients import WAIT_S
from tests.engines.servers.asking import ask as ask_here
from tests.model_cache import write
from tests.reliability.phases import (
    ALL,
    ENDED_S,
    ENDINGS,
    FRESH,
    IN_TURN,
    PHASES,
    STARTS,
    Scene,
    begin,
    children_of,
    ending,
    exit_code,
    pass_moment,
    require_gone,
    require_resumed,
    require_whole,
    stopped,
)
from tests.sharing.sessions import GREETING, SMALL, ask, holder_of
from tests.wire import open_wire

GROUP = "Signals to the server"
UNREAD = "The reader of its stdout goes"
DEAF = ("bash", "-c", f"exec {sys.executable} -m mcp_local_llm 2> >(exec true)")
"""A server whose stderr nobody reads."""


@pytest.mark.fault(
    GROUP,
    f"{{how}} {IN_TURN}",
    promised="it ends at once, and no process of it stays; the model is free; choice, state and the file of a draft "
    "are whole, old or new; the next session answers and goes on with the download; stdout holds nothing but messages",
    tries=2 * len(ALL),
)
@pytest.mark.parametrize("how", [*ENDINGS, UNREAD])
async def test_a_server_that_is_ended_leaves_everything_whole_and_free(scene: Scene, how: str, attempt: int) -> None:
    number, phase = ending(how, attempt) if how in ENDINGS else (None, ALL[(attempt + 1) % len(ALL)])
    async with open_wire(scene.environ, "none" if phase == STARTS else "auto") as wire:
        if phase == STARTS:
            await pass_moment(Random(attempt), 1.5, wire.process.wait)
        else:
            await begin(phase, scene, wire, Random(attempt))
        started = children_of(wire.process.pid)
        if number is not None:
            wire.process.send_signal(number)
        elif phase == STARTS:
            await wire.vanish()
        else:
            wire.close_stdout()
        ended = await wire.ended(within=WAIT_S if phase == STARTS else ENDED_S)
        assert phase == STARTS or ended == (exit_code(number) if number else 0), wire.errors()
        assert holder_of(scene.environ) is None
        assert "The server failed" not in wire.errors(), wire.errors()
        wire.messages()
    require_whole(scene)
    await require_gone(started)
    async with opened(scene.environ, scene.home) as following:
        assert (await ask_here(following, "tiny")).text == GREETING
        if phase == "downloads":
            await following.llm.download(FRESH, lambda _: None)
            require_resumed(scene)


@pytest.mark.fault(
    GROUP,
    f"SIGSTOP, then SIGCONT, while it {', '.join(PHASES)}",
    promised="its calls end as if nothing had been; the next call is answered",
    tries=24,
)
async def test_a_server_that_was_stopped_goes_on(scene: Scene, tries: int) -> None:
    async with open_wire(scene.environ) as wire:
        for attempt in range(tries):
            calls = await begin([*PHASES][attempt % len(PHASES)], scene, wire, Random(attempt))
            await stopped(wire.process.pid)
            wire.process.send_signal(signal.SIGCONT)
            scene.hub.go.set()
            await calls.end()
            assert await ask(wire, model=SMALL) == GREETING
            require_whole(scene)
        wire.messages()


@pytest.mark.fault(
    GROUP,
    f"SIGPIPE, with a stderr that nobody reads, while it {', '.join(PHASES)}",
    promised="its calls end as if nothing had been; the next call is answered",
    tries=24,
)
async def test_a_server_without_a_reader_of_its_log_goes_on(scene: Scene, tries: int) -> None:
    write(scene.home / ".local" / "state" / "mcp-local-llm" / "speeds.json", "no JSON, which is logged")
    async with open_wire(scene.environ, command=DEAF) as wire:
        for attempt in range(tries):
            scene.reset()
            calls = await begin([*PHASES][attempt % len(PHASES)], scene, wire, Random(attempt))
            wire.process.send_signal(signal.SIGPIPE)
            scene.hub.go.set()
            await calls.end()
            assert await ask(wire, model=SMALL) == GREETING
        wire.messages()
