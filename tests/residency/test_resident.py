"""The resident model's states, with a backend that loads when the test says so."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from mcp_local_llm.residency import Resident
from mcp_local_llm.values.chat import ChatChunk, ChatRequest, TokenCounts
from mcp_local_llm.values.engine import Engine, EngineMemory
from mcp_local_llm.values.errors import ModelLoadError
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.progress import Progress, ReportProgress
from tests.clients import WAIT_S

A, B, C = (ModelInfo(name, Path("/nowhere"), "folder") for name in "ABC")


@dataclass(eq=False)
class ScriptedEngine:
    model: ModelInfo
    log: list[str]
    memory: EngineMemory | None = None
    waiting: int = 0
    lost: bool = False

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk]:
        yield ChatChunk()

    async def count(self, items: Sequence[ChatRequest | str]) -> TokenCounts:
        return TokenCounts(self.model.id, (0,) * len(items), None)

    async def unload(self) -> None:
        self.log.append(f"unload {self.model.id}")


@dataclass(eq=False)
class ScriptedBackend:
    """Notes what it does; a load waits while the model's id is in `held`, and fails while it is in `broken`."""

    log: list[str] = field(default_factory=list[str])
    held: dict[str, anyio.Event] = field(default_factory=dict[str, anyio.Event])
    broken: set[str] = field(default_factory=set[str])
    hanging: str | None = None

    async def load(self, model: ModelInfo, report: ReportProgress) -> Engine:
        self.log.append(f"load {model.id}")
        report(Progress("loading", 1, 4))
        try:
            if model.id in self.held:
                await self.held[model.id].wait()
            await anyio.lowlevel.checkpoint()
        except anyio.get_cancelled_exc_class():
            self.log.append(f"give up {model.id}")
            raise
        if model.id in self.broken:
            raise ModelLoadError(f"{model.id} could not be loaded: bad weights.")
        self.log.append(f"loaded {model.id}")
        return ScriptedEngine(model, self.log)

    def fault(self) -> str | None:
        return self.hanging

    def close(self) -> None:
        pass


@dataclass(eq=False)
class Caller:
    """Uses a model until it is told to leave."""

    name: str
    resident: Resident
    model: ModelInfo
    log: list[str]
    leave: anyio.Event = field(default_factory=anyio.Event)
    words: list[str] = field(default_factory=list[str])
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    error: Exception | None = None

    async def __call__(self) -> None:
        with self.scope:
            try:
                async with self.resident.use(self.model, lambda progress: self.words.append(str(progress))) as engine:
                    assert engine.model == self.model
                    self.log.append(f"{self.name} in {self.model.id}")
                    await self.leave.wait()
            except ModelLoadError as error:
                self.error = error


@dataclass(eq=False)
class Stage:
    """A resident model and its callers."""

    backend: ScriptedBackend = field(default_factory=ScriptedBackend)

    def __post_init__(self) -> None:
        self.resident = Resident(self.backend)
        self.log = self.backend.log

    def caller(self, name: str, model: ModelInfo) -> Caller:
        return Caller(name, self.resident, model, self.log)


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def settle() -> None:
    """Let every task run until it waits for something."""
    with anyio.fail_after(WAIT_S):
        await anyio.wait_all_tasks_blocked()


async def test_callers_of_one_model_share_one_load_and_run_side_by_side(stage: Stage) -> None:
    stage.backend.held["A"] = anyio.Event()
    callers = [stage.caller(name, A) for name in ("one", "two", "three")]
    async with anyio.create_task_group() as tasks:
        for caller in callers:
            tasks.start_soon(caller)
        await settle()
        now = stage.resident.state()
        assert (now.state, now.model, now.calls, str(now.progress)) == ("loading", A, 0, "loading 25 %")
        stage.backend.held["A"].set()
        await settle()
        assert (stage.resident.state().state, stage.resident.state().calls) == ("ready", 3)
        for caller in callers:
            caller.leave.set()
    assert stage.log == ["load A", "loaded A", "one in A", "two in A", "three in A"]
    assert stage.resident.state().calls == 0


async def test_calls_in_the_line_of_the_engine_are_told_beside_those_that_hold_the_model(stage: Stage) -> None:
    async with stage.resident.use(A, lambda progress: None) as engine, stage.resident.use(A, lambda progress: None):
        assert (stage.resident.state().calls, stage.resident.state().waiting) == (2, 0)
        assert isinstance(engine, ScriptedEngine)
        engine.waiting = 1
        assert (stage.resident.state().calls, stage.resident.state().waiting) == (2, 1)


async def test_everyone_who_waits_hears_of_the_load_also_who_comes_in_the_middle(stage: Stage) -> None:
    stage.backend.held["A"] = anyio.Event()
    first, late = stage.caller("first", A), stage.caller("late", A)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await settle()
        tasks.start_soon(late)
        await settle()
        assert first.words == ["loading", "loading 25 %"]
        assert late.words == ["loading 25 %"]
        tasks.cancel_scope.cancel()


async def test_another_model_waits_for_the_running_calls_and_those_behind_it_wait_too(stage: Stage) -> None:
    one, two, three = stage.caller("one", A), stage.caller("two", B), stage.caller("three", A)
    async with anyio.create_task_group() as tasks:
        for caller in (one, two, three):
            tasks.start_soon(caller)
            await settle()
        assert stage.resident.state().state == "draining"
        assert two.words == ["waiting, 1 call ahead"]
        one.leave.set()
        await settle()
        assert (stage.resident.state().state, stage.resident.state().model) == ("draining", B)
        two.leave.set()
        await settle()
        three.leave.set()
    assert stage.log == [
        *("load A", "loaded A", "one in A", "unload A"),
        *("load B", "loaded B", "two in B", "unload B"),
        *("load A", "loaded A", "three in A"),
    ]


async def test_waiting_switches_are_served_in_the_order_in_which_they_came(stage: Stage) -> None:
    callers = [stage.caller(str(number), model) for number, model in enumerate((A, B, C, A))]
    for caller in callers:
        caller.leave.set()
    async with anyio.create_task_group() as tasks:
        for caller in callers:
            tasks.start_soon(caller)
    assert [line for line in stage.log if " in " in line] == ["0 in A", "1 in B", "2 in C", "3 in A"]


async def test_a_cancelled_load_leaves_nothing_and_the_next_who_waits_loads(stage: Stage) -> None:
    stage.backend.held["A"] = anyio.Event()
    first, second = stage.caller("first", A), stage.caller("second", A)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        tasks.start_soon(second)
        await settle()
        first.scope.cancel()
        await settle()
        assert stage.log == ["load A", "give up A", "load A"]
        stage.backend.held["A"].set()
        await settle()
        second.leave.set()
    assert stage.log[3:] == ["loaded A", "second in A"]


async def test_a_load_that_the_only_caller_gives_up_ends_unloaded(stage: Stage) -> None:
    stage.backend.held["A"] = anyio.Event()
    caller = stage.caller("only", A)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller)
        await settle()
        caller.scope.cancel()
    now = stage.resident.state()
    assert (now.state, now.model, now.progress, now.last_error, now.calls) == ("unloaded", None, None, None, 0)


async def test_who_gives_up_waiting_for_the_drain_leaves_the_model_resident(stage: Stage) -> None:
    one, two = stage.caller("one", A), stage.caller("two", B)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one)
        await settle()
        tasks.start_soon(two)
        await settle()
        two.scope.cancel()
        await settle()
        assert (stage.resident.state().state, stage.resident.state().model) == ("ready", A)
        again = stage.caller("again", A)
        tasks.start_soon(again)
        await settle()
        assert stage.log == ["load A", "loaded A", "one in A", "again in A"]
        one.leave.set()
        again.leave.set()


async def test_a_failed_load_leaves_nothing_resident_and_is_remembered_until_one_succeeds(stage: Stage) -> None:
    stage.backend.broken = {"B"}
    one, two, three = stage.caller("one", A), stage.caller("two", B), stage.caller("three", A)
    for caller in (one, two, three):
        caller.leave.set()
    await one()
    await two()
    assert str(two.error) == "B could not be loaded: bad weights."
    now = stage.resident.state()
    assert (now.state, now.model, now.last_error) == ("unloaded", None, "B could not be loaded: bad weights.")
    await three()
    assert (stage.resident.state().state, stage.resident.state().last_error) == ("ready", None)
    assert stage.log == ["load A", "loaded A", "one in A", "unload A", "load B", "load A", "loaded A", "three in A"]


async def test_each_who_waits_for_a_model_that_fails_is_told(stage: Stage) -> None:
    stage.backend.broken = {"A"}
    callers = [stage.caller(name, A) for name in ("one", "two")]
    async with anyio.create_task_group() as tasks:
        for caller in callers:
            tasks.start_soon(caller)
    assert [str(caller.error) for caller in callers] == ["A could not be loaded: bad weights."] * 2


async def test_an_error_inside_a_use_gives_the_place_back(stage: Stage) -> None:
    with pytest.raises(KeyError):
        async with stage.resident.use(A, lambda progress: None):
            raise KeyError
    assert (stage.resident.state().state, stage.resident.state().calls) == ("ready", 0)


async def test_unload_waits_for_the_running_calls(stage: Stage) -> None:
    caller = stage.caller("one", A)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller)
        await settle()
        tasks.start_soon(stage.resident.unload)
        await settle()
        assert stage.resident.state().state == "draining"
        caller.leave.set()
    assert stage.resident.state().state == "unloaded"
    assert stage.log[-1] == "unload A"
