"""A step that does not come back fails its calls, refuses the next ones at once, and is forgotten when it returns.

The clock is the test's, and the step hangs until the test lets it go: nothing here waits for time to pass.
"""

import os
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import anyio
import pytest

from mcp_local_llm.engines.mlx import EngineLimits, MlxLoader
from mcp_local_llm.engines.mlx.batch import memory
from mcp_local_llm.engines.mlx.batch.batch import Batch
from mcp_local_llm.residency import Resident
from mcp_local_llm.values.errors import BackendUnavailableError
from mcp_local_llm.values.model import ModelInfo
from tests.clients import WAIT_S
from tests.engines.mlx.asking import ask, ignore

LIMITS = EngineLimits(step_timeout_s=30, load_timeout_s=60)


@dataclass(eq=False)
class Time:
    """A clock that stands still, and timers that go off when the test says so."""

    now: float = 1000.0
    due: list["Alarm"] = field(default_factory=list["Alarm"])

    def clock(self) -> float:
        return self.now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> "Alarm":
        self.due.append(Alarm(self, callback))
        return self.due[-1]

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        for alarm in tuple(self.due):
            alarm.cancel()
            alarm.callback()


@dataclass(eq=False)
class Alarm:
    time: Time
    callback: Callable[[], None]

    def cancel(self) -> None:
        if self in self.time.due:
            self.time.due.remove(self)


@dataclass(eq=False)
class Hang:
    """Holds whoever calls it on another thread, once, until it is let go."""

    entered: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> None:
        if not self.entered.is_set():
            self.entered.set()
            assert self.go.wait(WAIT_S)

    async def begun(self) -> None:
        assert await anyio.to_thread.run_sync(self.entered.wait, WAIT_S)


@asynccontextmanager
async def backend_of(time: Time, hang: Hang) -> AsyncGenerator[MlxLoader]:
    backend = MlxLoader(LIMITS, time.clock, time.call_later)
    try:
        with anyio.fail_after(WAIT_S):
            yield backend
    finally:
        hang.go.set()
        backend.close()
        assert backend.join(WAIT_S)


def hang_in_step(monkeypatch: pytest.MonkeyPatch, number: int) -> Hang:
    """Let the batch's step of this number hang."""
    hang, sound, steps = Hang(), Batch.step, [0]

    def step(batch: Batch) -> None:
        steps[0] += 1
        if steps[0] == number:
            hang()
        sound(batch)

    monkeypatch.setattr(Batch, "step", step)
    return hang


@pytest.mark.parametrize("calls", [1, 3])
async def test_a_step_that_hangs_fails_its_calls_refuses_the_next_and_leaves_the_engine_whole_when_it_returns(
    tiny: ModelInfo, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    time, hang = Time(), hang_in_step(monkeypatch, 3)
    errors: list[str] = []

    async def failing(resident: Resident) -> None:
        with pytest.raises(BackendUnavailableError) as raised:
            async with resident.use(tiny, ignore) as engine:
                await ask(engine, "Write a poem.")  # pyright: ignore[reportArgumentType]
        errors.append(str(raised.value))

    async with backend_of(time, hang) as backend:
        resident = Resident(backend)
        async with anyio.create_task_group() as group:
            for _ in range(calls):
                group.start_soon(failing, resident)
            await hang.begun()
            time.pass_by(LIMITS.step_timeout_s)
            assert resident.state().fault is None
            time.pass_by(1)
        assert len(errors) == calls
        assert all(f"end process {os.getpid()}" in error and "step of the model" in error for error in errors)
        with pytest.raises(BackendUnavailableError, match="hangs"):
            async with resident.use(tiny, ignore):
                pass
        with pytest.raises(BackendUnavailableError, match="hangs"):
            async with resident.use(replace(tiny, id="other"), ignore):
                pass
        with pytest.raises(BackendUnavailableError, match="hangs"):
            await resident.unload()
        now = resident.state()
        assert (now.state, now.model, now.calls) == ("ready", tiny, 0)
        assert now.fault is not None
        hang.go.set()
        while backend.fault() is not None:
            await anyio.lowlevel.checkpoint()
        async with resident.use(tiny, ignore) as engine:
            assert (await ask(engine, "Hello")).text  # pyright: ignore[reportArgumentType]
        assert resident.loads.count == 1


async def test_the_first_step_after_a_load_has_as_long_as_a_load(
    tiny: ModelInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    time, hang = Time(), hang_in_step(monkeypatch, 1)
    async with backend_of(time, hang) as backend:
        engine = await backend.load(tiny, ignore)
        async with anyio.create_task_group() as group:
            group.start_soon(ask, engine, "Hello")
            await hang.begun()
            time.pass_by(LIMITS.load_timeout_s)
            assert backend.fault() is None
            hang.go.set()


async def test_a_load_that_hangs_is_given_up_and_taken_back_when_it_returns(
    tiny: ModelInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    time, hang, sound = Time(), Hang(), memory.wire_weights

    def wire(*arguments: object) -> None:
        hang()
        sound("off")

    monkeypatch.setattr(memory, "wire_weights", wire)
    async with backend_of(time, hang) as backend:
        resident = Resident(backend)

        async def load() -> None:
            with pytest.raises(BackendUnavailableError, match=f"loading {tiny.id}"):
                async with resident.use(tiny, ignore):
                    pass

        async with anyio.create_task_group() as group:
            group.start_soon(load)
            await hang.begun()
            time.pass_by(LIMITS.load_timeout_s + 1)
        now = resident.state()
        assert now.state == "unloaded"
        assert now.last_error is not None
        assert now.last_error == now.fault
        with pytest.raises(BackendUnavailableError, match="hangs"):
            async with resident.use(tiny, ignore):
                pass
        hang.go.set()
        while backend.fault() is not None:
            await anyio.lowlevel.checkpoint()
        async with resident.use(tiny, ignore) as engine:
            assert (await ask(engine, "Hello")).text  # pyright: ignore[reportArgumentType]
