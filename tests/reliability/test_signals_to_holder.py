"""Signals to the process that holds the model while three sessions are attached; the four live on from try to try."""

import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import anyio
import pytest

from mcp_local_llm.values.errors import HolderGoneError
from tests.clients import POLL_S
from tests.reliability.phases import (
    ALL,
    ENDED_S,
    ENDINGS,
    FRESH,
    IN_TURN,
    PHASES,
    STARTS,
    Calls,
    Scene,
    begin,
    children_of,
    ending,
    exit_code,
    pass_moment,
    require_gone,
    require_resumed,
    require_whole,
    scene_in,
    stopped,
)
from tests.sharing.sessions import GREETING, SMALL, holder_of, remote, report, until
from tests.wire import Wire, open_wire

GROUP = "Signals to the holder with three sessions attached"
SESSIONS = 4


class Fleet:
    """Four sessions in one home; one of them comes to hold the model."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._open: dict[Wire, AsyncExitStack] = {}

    @property
    def wires(self) -> list[Wire]:
        return [*self._open]

    async def fill(self) -> None:
        """Open sessions until four live."""
        for wire in self.wires:
            if wire.process.returncode is not None:
                await self.close(wire)
        while len(self._open) < SESSIONS:
            stack = AsyncExitStack()
            wire = await stack.enter_async_context(open_wire(self.scene.environ))
            self._open[wire] = stack

    async def close(self, wire: Wire) -> None:
        await self._open.pop(wire).aclose()

    def holder(self) -> Wire:
        pid = holder_of(self.scene.environ)
        (wire,) = [wire for wire in self.wires if wire.process.pid == pid]
        return wire

    async def all_answer(self) -> None:
        """Let every session ask at once; all are answered."""
        asked = [(wire, await wire.call("chat", message="Hello", model=SMALL)) for wire in self.wires]
        assert [await wire.text(request) for wire, request in asked] == [GREETING for _ in asked]

    async def leave(self) -> None:
        """Let the holder give the lease up, as for a newer version."""
        with anyio.fail_after(ENDED_S):
            while holder_of(self.scene.environ) is not None:
                try:
                    await remote(self.scene.environ).drain()
                except HolderGoneError:
                    await anyio.sleep(POLL_S)

    async def begin(self, phase: str, random: Random) -> tuple[Wire, list[Calls]]:
        """Bring a call of an attached session into a phase, with a call of each other one; returns the holder, too."""
        await self.fill()
        self.scene.reset()
        if phase == STARTS:
            await self.leave()
            every = [Calls(wire) for wire in self.wires]
            requests = [await calls.call("chat", message="Hello", model=SMALL) for calls in every]
            with anyio.fail_after(ENDED_S):
                while holder_of(self.scene.environ) is None:
                    await anyio.sleep(POLL_S)
            await pass_moment(random, 1.0, lambda: every[0].session.answer(requests[0]))
            return self.holder(), every
        await self.all_answer()
        holder = self.holder()
        if phase == "loads":
            await remote(self.scene.environ).unload(lambda _: None)
        driver, *others = [wire for wire in self.wires if wire is not holder]
        every = [Calls(wire) for wire in (holder, *others)]
        for calls in every:
            if phase not in ("is idle", "switches models", "loads"):
                await calls.call("chat", message="Hello", model=SMALL)
        return holder, [*every, await begin(phase, self.scene, driver, random)]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    home: Path = tmp_path_factory.mktemp("home")
    with scene_in(home) as scene:
        made = Fleet(scene)
        yield made
        for wire in made.wires:
            await made.close(wire)


@pytest.mark.fault(
    GROUP,
    f"{{how}} {IN_TURN}",
    promised="each call of the other three is answered, or told at once that it can be sent again; all three are "
    "answered next, by one of them; files are whole, old or new; a download goes on where it was",
    tries=2 * len(ALL),
)
@pytest.mark.parametrize("how", ENDINGS)
async def test_a_holder_that_is_ended_hangs_nobody(fleet: Fleet, how: str, attempt: int) -> None:
    number, phase = ending(how, attempt)
    holder, every = await fleet.begin(phase, Random(attempt))
    started = children_of(holder.process.pid)
    holder.process.send_signal(number)
    ended = await holder.ended(within=ENDED_S)
    for calls in every:
        if calls.session is not holder:
            await calls.end()
    assert ended == exit_code(number), holder.errors()
    assert "Traceback" not in holder.errors(), holder.errors()
    holder.messages()
    await fleet.close(holder)
    await require_gone(started)
    require_whole(fleet.scene)
    if phase == "downloads":
        await report(fleet.wires[0], "set_model", name=FRESH, download=True)
        require_resumed(fleet.scene)
    await fleet.all_answer()
    assert holder_of(fleet.scene.environ) in [wire.process.pid for wire in fleet.wires]


@pytest.mark.fault(
    GROUP,
    f"SIGSTOP, then SIGCONT, while it {', '.join(ALL)}",
    promised="the others' status says within 2 s which process is stopped; their calls go on with it, or say so after "
    "10 s; once it goes on, all are answered",
    tries=len(ALL),
)
async def test_a_holder_that_is_stopped_is_named_and_goes_on(fleet: Fleet, attempt: int) -> None:
    holder, every = await fleet.begin(ALL[(attempt + 3) % len(ALL)], Random(attempt))
    others = [calls for calls in every if calls.session is not holder]
    await stopped(holder.process.pid)
    try:
        status = await report(others[0].session, "status")
        assert any(f"process {holder.process.pid}, which said nothing" in note for note in status["notes"]), status
        if attempt % 2 == 0:
            for calls in others:
                await calls.end()
    finally:
        holder.process.send_signal(signal.SIGCONT)
    fleet.scene.hub.go.set()
    for calls in every:
        await calls.end()
    await fleet.all_answer()
    assert fleet.holder() is holder


@pytest.mark.fault(
    GROUP,
    f"SIGPIPE while it {', '.join(PHASES)}",
    promised="all calls end as if nothing had been",
    tries=24,
)
async def test_a_holder_survives_a_broken_pipe(fleet: Fleet, tries: int) -> None:
    for attempt in range(tries):
        holder, every = await fleet.begin([*PHASES][attempt % len(PHASES)], Random(attempt))
        holder.process.send_signal(signal.SIGPIPE)
        fleet.scene.hub.go.set()
        for calls in every:
            await calls.end()
        assert fleet.holder() is holder


@pytest.mark.fault(
    GROUP,
    f"{', '.join(ENDINGS)} to an attached server while its call {', '.join([*PHASES][1:])}",
    promised="the holder drops that call alone; the other sessions' calls are answered",
    tries=20,
)
async def test_an_attached_server_that_is_ended_takes_its_call_along(fleet: Fleet, attempt: int) -> None:
    number, phase = ending([*ENDINGS][attempt % 2], attempt, [*PHASES][1:])
    holder, every = await fleet.begin(phase, Random(attempt))
    attached = every.pop().session
    attached.process.send_signal(number)
    assert await attached.ended(within=ENDED_S) == exit_code(number)
    attached.messages()
    await fleet.close(attached)
    for calls in every:
        await calls.end()
    await until(fleet.scene.environ, lambda told: told["answers"] == 0, within=ENDED_S)
    require_whole(fleet.scene)
    await fleet.all_answer()
    assert fleet.holder() is holder


@pytest.mark.fault(
    GROUP,
    f"SIGSTOP, then SIGCONT, to an attached server while its call {', '.join([*PHASES][1:])}",
    promised="the other sessions' calls are answered while it is stopped; its own ends as if nothing had been",
    tries=21,
)
async def test_an_attached_server_that_is_stopped_holds_up_nobody(fleet: Fleet, tries: int) -> None:
    phases = [*PHASES][1:]
    for attempt in range(tries):
        holder, every = await fleet.begin(phases[attempt % len(phases)], Random(attempt))
        *others, own = every
        await stopped(own.session.process.pid)
        fleet.scene.hub.go.set()
        try:
            for calls in others:
                await calls.end()
        finally:
            own.session.process.send_signal(signal.SIGCONT)
        await own.end()
        assert fleet.holder() is holder
