"""A model that nobody uses is unloaded after a while, and never while somebody does."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from mcp_local_llm.residency import Resident
from mcp_local_llm.values.chat import ChatChunk, ChatRequest, TokenCounts
from mcp_local_llm.values.engine import Engine, EngineMemory
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.progress import Progress, ReportProgress

MODEL = ModelInfo("some-model", Path("/nowhere"), "folder")
IDLE_S = 600.0


@dataclass(eq=False)
class FakeEngine:
    model: ModelInfo = MODEL
    memory: EngineMemory | None = None
    waiting: int = 0
    lost: bool = False
    unloaded: anyio.Event = field(default_factory=anyio.Event)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk]:
        yield ChatChunk()

    async def count(self, items: Sequence[ChatRequest | str]) -> TokenCounts:
        return TokenCounts(self.model.id, (0,) * len(items), None)

    async def unload(self) -> None:
        self.unloaded.set()


@dataclass(eq=False)
class FakeBackend:
    engines: list[FakeEngine] = field(default_factory=list[FakeEngine])

    async def load(self, model: ModelInfo, report: ReportProgress) -> Engine:
        self.engines.append(FakeEngine(model))
        return self.engines[-1]

    def fault(self) -> str | None:
        return None

    def close(self) -> None:
        pass


@dataclass(eq=False)
class Clock:
    """Timers that go off when the test says so."""

    timers: list["FakeTimer"] = field(default_factory=list["FakeTimer"])

    def call_later(self, seconds: float, callback: Callable[[], None]) -> "FakeTimer":
        self.timers.append(FakeTimer(seconds, callback))
        return self.timers[-1]

    @property
    def running(self) -> list["FakeTimer"]:
        return [timer for timer in self.timers if not timer.cancelled]


@dataclass(eq=False)
class FakeTimer:
    seconds: float
    callback: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


def ignore(progress: Progress) -> None:
    pass


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def resident(backend: FakeBackend, clock: Clock) -> Resident:
    return Resident(backend, idle_s=IDLE_S, call_later=clock.call_later)


async def test_the_last_call_to_end_starts_the_timer_and_its_end_unloads(
    resident: Resident, backend: FakeBackend, clock: Clock
) -> None:
    async with resident.use(MODEL, ignore):
        assert clock.running == []
        async with resident.use(MODEL, ignore):
            pass
        assert clock.running == []
    (timer,) = clock.running
    assert timer.seconds == IDLE_S
    timer.callback()
    with anyio.fail_after(5):
        await backend.engines[0].unloaded.wait()
    assert resident.state().state == "unloaded"
    async with resident.use(MODEL, ignore) as engine:
        assert engine is backend.engines[1]


async def test_a_call_stops_the_timer(resident: Resident, clock: Clock) -> None:
    async with resident.use(MODEL, ignore):
        pass
    (first,) = clock.running
    async with resident.use(MODEL, ignore):
        assert first.cancelled
        assert clock.running == []
    assert len(clock.running) == 1


async def test_a_call_that_comes_as_the_timer_goes_off_keeps_the_model(
    resident: Resident, backend: FakeBackend, clock: Clock
) -> None:
    async with resident.use(MODEL, ignore):
        pass
    (timer,) = clock.running
    timer.callback()
    async with resident.use(MODEL, ignore) as engine:
        for _ in range(5):
            await asyncio.sleep(0)
        assert engine in backend.engines
        assert not backend.engines[-1].unloaded.is_set()
        assert resident.state().state == "ready"


async def test_no_idle_time_never_unloads(backend: FakeBackend, clock: Clock) -> None:
    resident = Resident(backend, idle_s=0, call_later=clock.call_later)
    async with resident.use(MODEL, ignore):
        pass
    assert clock.timers == []


async def test_a_lost_engine_counts_as_unloaded_and_is_loaded_anew(resident: Resident, backend: FakeBackend) -> None:
    async with resident.use(MODEL, ignore):
        backend.engines[0].lost = True
    assert resident.state().state == "unloaded"
    async with resident.use(MODEL, ignore) as engine:
        assert engine is backend.engines[1]
        assert resident.state().state == "ready"
