"""The resident model: loaded for the first call that needs it, shared by all calls, replaced when no call uses it.

It must not know names of models, files or settings.

    state       meaning                                use(A)                   use(B)
    unloaded    no model in memory                     load A                   load B
    loading A   the weights are being read             wait, with progress      wait, then replace
    ready A     calls may run                          run at once              wait for the calls, then replace
    draining A  calls finish before a replacement      wait, then load again    wait

Callers need not check the state: `use` loads and waits as needed, in the order of the calls.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import anyio

from mcp_local_llm.values.engine import Engine, EngineLoader, EngineMemory
from mcp_local_llm.values.errors import BackendUnavailableError, LocalLLMError
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.progress import Progress, ReportProgress

log = logging.getLogger(__name__)


class Timer(Protocol):
    """A running timer."""

    def cancel(self) -> None:
        """Stop the timer before it calls back."""
        ...


CallLater = Callable[[float, Callable[[], None]], Timer]
"""Starts a timer for a number of seconds, as `asyncio.loop.call_later`."""


def loop_call_later(seconds: float, callback: Callable[[], None]) -> Timer:
    """Start a timer of the running event loop."""
    return asyncio.get_running_loop().call_later(seconds, callback)


class IdleTimer:
    """Runs `action` `seconds` after the last `start`, unless `stop` comes first; 0 seconds never runs it."""

    def __init__(self, seconds: float, action: Callable[[], Coroutine[Any, Any, None]], call_later: CallLater) -> None:
        self._seconds = seconds
        self._action = action
        self._call_later = call_later
        self._timer: Timer | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the timer anew."""
        self.stop()
        if self._seconds > 0:
            self._timer = self._call_later(self._seconds, self._expired)

    def stop(self) -> None:
        """Stop the timer. An action that has begun continues; it must check whether it is still needed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expired(self) -> None:
        self._timer = None
        # Stored, because the event loop holds only weak references to tasks.
        self._task = asyncio.get_running_loop().create_task(self._action())


State = Literal["unloaded", "loading", "ready", "draining"]


@dataclass(frozen=True)
class ResidentState:
    """The state of the resident model at one moment.

    Attributes:
        model: the model that is loaded or being loaded.
        progress: of the load, while one runs.
        calls: calls that use the resident model, or a model of an endpoint.
        waiting: those of them that wait in the engine's queue.
        last_error: why the last load failed, until one succeeds.
        memory: of the engine in this process.
        fault: why calls cannot be answered and the model cannot be replaced now, with the remedy.
    """

    state: State
    model: ModelInfo | None = None
    progress: Progress | None = None
    calls: int = 0
    last_error: str | None = None
    memory: EngineMemory | None = None
    waiting: int = 0
    fault: str | None = None


@dataclass(frozen=True)
class LoadCounts:
    """Number of loads since the start, and their seconds altogether."""

    count: int = 0
    seconds: float = 0.0


class Resident:
    """Owns the engine of the resident model, counts its calls, and unloads it after `idle_s` seconds without a call.

    An engine that unloaded its model after failures (`Engine.lost`) counts as unloaded.
    """

    def __init__(self, loader: EngineLoader, *, idle_s: float = 0.0, call_later: CallLater = loop_call_later) -> None:
        self._loader = loader
        self._engine: Engine | None = None
        self._now = ResidentState("unloaded")
        self._calls = 0
        self._endpoint_calls = 0
        self._idle: anyio.Event | None = None
        self._change = anyio.Lock()
        self._listeners: list[ReportProgress] = []
        self._uses = 0
        self._timer = IdleTimer(idle_s, self._unload_idle, call_later)
        self._loads = LoadCounts()

    @property
    def loads(self) -> LoadCounts:
        """The loads so far, without failed ones."""
        return self._loads

    def state(self) -> ResidentState:
        """Return the present state; never waits."""
        now, engine, fault = self._now, self._engine, self._loader.fault()
        if engine is not None and engine.lost and now.state == "ready":
            return ResidentState("unloaded", calls=self._calls + self._endpoint_calls, fault=fault)
        memory = engine.memory if engine is not None else None
        calls = self._calls + self._endpoint_calls
        waiting = engine.waiting if engine is not None else 0
        return ResidentState(now.state, now.model, now.progress, calls, now.last_error, memory, waiting, fault)

    @asynccontextmanager
    async def use(self, model: ModelInfo, report: ReportProgress) -> AsyncGenerator[Engine]:
        """Keep `model` resident for the length of the block, loading it first where needed.

        Calls of one model run concurrently. A call for another model waits until the running calls have ended, and
        later calls wait behind it. Cancelling a call cancels its load; the next call that waits for the same model
        then loads it. A model of an endpoint needs no memory here, so it is used beside the resident model without
        waiting.

        Raises:
            ModelLoadError: the model could not be loaded; nothing is resident then.
            BackendUnavailableError: the engine of this process hangs; its model stays resident.
        """
        if model.endpoint is not None:
            async with self._beside(model, report) as engine:
                yield engine
            return
        self._require_working()
        engine = await self._enter(model, report)
        try:
            yield engine
        finally:
            self._calls -= 1
            if self._calls == 0:
                self._timer.start()
                if self._idle is not None:
                    self._idle.set()

    async def unload(self, *, force: bool = False) -> None:
        """Unload the model when the running calls have ended; with `force` at once, and those calls fail."""
        if force:
            await self._end_calls()
        async with self._change:
            if force:
                await self._end_calls()  # Those of a model that was being loaded until now.
            await self._unload()

    async def _end_calls(self) -> None:
        if self._engine is not None:
            await self._engine.unload()

    @asynccontextmanager
    async def _beside(self, model: ModelInfo, report: ReportProgress) -> AsyncGenerator[Engine]:
        engine = await self._loader.load(model, report)
        self._endpoint_calls += 1
        try:
            yield engine
        finally:
            self._endpoint_calls -= 1

    async def _enter(self, model: ModelInfo, report: ReportProgress) -> Engine:
        with self._listening(report):
            async with self._change:
                engine = self._engine
                if engine is None or engine.lost or not engine.model.serves(model):
                    await self._unload()
                    engine = await self._load(model)
                self._calls += 1
                self._uses += 1
                self._timer.stop()
                return engine

    async def _unload_idle(self) -> None:
        """Unload the model, unless a call came while this waited for the lock."""
        uses = self._uses
        async with self._change:
            if self._calls == 0 and self._uses == uses:
                if self._loader.fault() is None:
                    await self._unload()
                else:
                    self._timer.start()

    def _require_working(self) -> None:
        """Refuse a call that would wait for an engine that hangs.

        Raises:
            BackendUnavailableError: with the remedy.
        """
        fault = self._loader.fault()
        if fault is not None:
            raise BackendUnavailableError(fault)

    async def _unload(self) -> None:
        """Wait for the running calls, then unload the model."""
        engine = self._engine
        if engine is None:
            return
        self._require_working()
        if self._calls:
            self._now = ResidentState("draining", engine.model)
            self._report(Progress("queued", self._calls))
            self._idle = anyio.Event()
            try:
                await self._idle.wait()
            finally:
                self._idle = None
                self._now = ResidentState("ready", engine.model)
            # The calls may have ended because the engine hangs.
            self._require_working()
        self._engine = None
        self._now = ResidentState("unloaded")
        log.info("unloads %s", engine.model.id)
        await engine.unload()

    async def _load(self, model: ModelInfo) -> Engine:
        def report(progress: Progress) -> None:
            self._now = ResidentState("loading", model, progress)
            self._report(progress)

        # Reported before the first byte is read, since importing mlx takes a second or two.
        report(Progress("loading"))
        started = anyio.current_time()
        log.info("loads %s", model.id)
        try:
            engine = await self._loader.load(model, report)
        except BaseException as error:
            # A cancelled load comes here as well; in every case nothing is resident.
            reason = str(error) if isinstance(error, LocalLLMError) else None
            self._now = ResidentState("unloaded", last_error=reason)
            raise
        self._engine = engine
        self._now = ResidentState("ready", model)
        seconds = anyio.current_time() - started
        log.info("loaded %s in %.2f s", model.id, seconds)
        self._loads = LoadCounts(self._loads.count + 1, self._loads.seconds + seconds)
        return engine

    @contextmanager
    def _listening(self, report: ReportProgress) -> Generator[None]:
        self._listeners.append(report)
        if self._now.progress is not None:
            report(self._now.progress)
        try:
            yield
        finally:
            self._listeners.remove(report)

    def _report(self, progress: Progress) -> None:
        for listener in self._listeners:
            listener(progress)
