"""The MLX engine on the event loop: coroutines over the commands and events of the MLX thread."""

# asyncio: the MLX thread hands events over without waiting, which anyio has nothing for.
import asyncio
import contextlib
import dataclasses
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING

from mcp_local_llm.engines.mlx.chunks import ChunkBuilder
from mcp_local_llm.engines.mlx.limits import EngineLimits
from mcp_local_llm.engines.mlx.messages import (
    Event,
    Failed,
    Job,
    Load,
    Loaded,
    LoadProgress,
    ModelState,
    Queued,
    Stop,
    Submit,
    Unload,
    Wake,
)
from mcp_local_llm.engines.mlx.thread import MlxThread
from mcp_local_llm.engines.mlx.watch import CallLater, Watchdog, loop_call_later
from mcp_local_llm.values.call import current_id
from mcp_local_llm.values.chat import ChatChunk, ChatRequest, TokenCounts
from mcp_local_llm.values.engine import EngineMemory
from mcp_local_llm.values.errors import BackendUnavailableError, BusyError
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.progress import Progress, ReportProgress

if TYPE_CHECKING:
    from mcp_local_llm.engines.mlx.prompt.renderer import Renderer
    from mcp_local_llm.parsing import Markup


class _EventQueue:
    """Passes events from the MLX thread to the event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    def put(self, event: Event) -> None:
        """Hand over an event; called on the MLX thread."""
        # At exit the loop may be closed already, and with it the call that waited for this event.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    async def get(self) -> Event:
        return await self._events.get()


class MlxLoader:
    """Loads models into this process, one at a time."""

    def __init__(
        self,
        limits: EngineLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
        call_later: CallLater = loop_call_later,
    ) -> None:
        self._limits = limits or EngineLimits()
        self._thread = MlxThread(self._limits, clock)
        self._watchdog = Watchdog(self._thread.watch, call_later)
        self._clock = clock

    async def load(self, model: ModelInfo, report: ReportProgress) -> "MlxEngine":
        """Load `model` and drop the one before; cancelling gives up between two steps of reading.

        Raises:
            ModelLoadError: mlx-lm refused the folder, or MLX cannot be used on this machine.
            BackendUnavailableError: the MLX thread hangs.
        """
        self._thread.watch.check()
        events, cancelled, state = _EventQueue(), threading.Event(), ModelState()
        self._thread.post(Load(model, events.put, cancelled, state))
        loaded = False
        try:
            with self._watchdog.guarding(events.put):
                while True:
                    match await events.get():
                        case LoadProgress(done, total):
                            report(Progress("loading", done, total))
                        case Failed(error):
                            raise error
                        case Loaded() as told:
                            loaded = True
                            return self._engine(model, told, state)
                        case _:
                            pass
        finally:
            if not loaded:
                cancelled.set()
                # The load may have ended just now, or may end after the cancellation; then this drops the model.
                self._thread.post(Unload(_ignore))

    def fault(self) -> str | None:
        """Return why no call is accepted now, with the remedy; see `EngineLoader.fault`."""
        return self._thread.watch.fault()

    def close(self) -> None:
        """Ask the thread to end; does not block."""
        self._thread.post(Stop())

    def join(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the thread's end; return whether it has ended."""
        return self._thread.join(timeout)

    def _engine(self, model: ModelInfo, loaded: Loaded, state: ModelState) -> "MlxEngine":
        # Here and not above: it needs jinja2, which a handshake need not wait for.
        from mcp_local_llm.engines.mlx.prompt.reasoning_tags import model_markup
        from mcp_local_llm.engines.mlx.prompt.renderer import Renderer

        text = dataclasses.replace(loaded.text, refuse_tools=self._limits.refuse_tools)
        markup = model_markup(text.tokenizer, text.tags)
        renderer = Renderer(
            text,
            self._limits.max_generation_tokens,
            checkpoints=loaded.checkpoints,
            longest_s=self._limits.step_timeout_s,
        )
        return MlxEngine(model, self._thread, self._watchdog, renderer, markup, self._limits, state, self._clock)


class MlxEngine:
    """The model that the MLX thread holds."""

    def __init__(
        self,
        model: ModelInfo,
        thread: MlxThread,
        watchdog: Watchdog,
        renderer: "Renderer",
        markup: "Markup",
        limits: EngineLimits,
        state: ModelState,
        clock: Callable[[], float],
    ) -> None:
        self._model = model
        self._thread = thread
        self._watchdog = watchdog
        self._renderer = renderer
        self._markup = markup
        self._limits = limits
        self._state = state
        self._clock = clock
        self._pending: Counter[str] = Counter()
        self._line: set[_EventQueue] = set()

    @property
    def model(self) -> ModelInfo:
        """The model that is loaded."""
        return self._model

    @property
    def memory(self) -> EngineMemory | None:
        """The memory that MLX holds, as of the last event."""
        return self._state.memory

    @property
    def waiting(self) -> int:
        """Requests whose prompt is being prepared, or that the thread has not begun. Never waits."""
        return len(self._line)

    @property
    def lost(self) -> bool:
        """Whether the thread has unloaded the model by itself."""
        return self._state.lost

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk]:
        """Answer `request`; see `Engine.stream`."""
        self._thread.watch.check()
        self._refuse_when_full(request.client)
        events, submitted = _EventQueue(), self._clock()
        chunks = ChunkBuilder(request, self._model, self._markup)
        job: Job | None = None
        self._pending[request.client] += 1
        self._line.add(events)
        try:
            with self._watchdog.guarding(events.put):
                job = Job(request, await self._renderer.render(request), events.put, submitted, current_id())
                self._thread.post(Submit(job))
                while not chunks.finished:
                    event = await events.get()
                    if isinstance(event, Failed):
                        raise event.error
                    if not isinstance(event, Queued):
                        self._line.discard(events)
                    yield chunks.chunk(event)
        finally:
            self._line.discard(events)
            self._pending[request.client] -= 1
            # Keeps no names of clients that have gone.
            self._pending = +self._pending
            if job is not None and not chunks.finished:
                job.cancelled.set()
                self._thread.post(Wake())

    async def count(self, items: Sequence[ChatRequest | str]) -> TokenCounts:
        """Count prompt tokens beside the thread; see `Engine.count`."""
        tokens = [await self._renderer.count(item) for item in items]
        return TokenCounts(self._model.id, tuple(tokens), self._renderer.window, places=self._limits.places)

    def _refuse_when_full(self, client: str) -> None:
        """Raise BusyError where too many requests wait, of this client's or of all."""
        running, queue = self._limits.places, self._limits.queue_size
        waiting = self._pending.total() - running
        if waiting >= (total := self._limits.queue_total):
            raise BusyError(
                f"{running} calls are running and {waiting} are waiting; the queue holds {total} of all clients "
                f"together, and {queue} of one. Try again when one has finished."
            )
        # A client that has no call here is let in all the same: another's batch must not shut it out.
        if waiting >= queue and self._pending[client]:
            raise BusyError(
                f"{running} calls are running and {waiting} are waiting; the queue holds {queue}. Try "
                "again when one has finished."
            )

    async def unload(self) -> None:
        """Drop the model; requests still running fail.

        Raises:
            BackendUnavailableError: the MLX thread hangs, so the model stays.
        """
        events = _EventQueue()
        self._thread.watch.check()
        self._thread.post(Unload(events.put))
        with self._watchdog.guarding(events.put):
            event = await events.get()
        # After any other failure the thread has ended and dropped the model.
        if isinstance(event, Failed) and isinstance(event.error, BackendUnavailableError):
            raise event.error


def _ignore(event: Event) -> None:
    """Drop an event."""
