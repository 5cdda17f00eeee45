"""The MLX engine as the core sees it: coroutines over the thread's commands and events."""

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable

from mcp_local_llm.chat import ChatRequest
from mcp_local_llm.engine import ChatChunk, EngineMemory, Progress, ReportProgress
from mcp_local_llm.engines.mlx.limits import EngineLimits
from mcp_local_llm.engines.mlx.messages import (
    Done,
    Event,
    Failed,
    Finished,
    Job,
    Load,
    LoadProgress,
    Queued,
    Stop,
    Submit,
    Unload,
    Vitals,
    Wake,
)
from mcp_local_llm.engines.mlx.reply import Reply
from mcp_local_llm.engines.mlx.thread import MlxThread
from mcp_local_llm.errors import BusyError
from mcp_local_llm.model import ModelInfo


class _Inbox:
    """Carries events from the MLX thread to the event loop that made it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    def put(self, event: Event) -> None:
        """Hand over an event; called on the MLX thread."""
        # At exit the loop may be closed already; then nobody waits for this event any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    async def get(self) -> Event:
        return await self._events.get()


class MlxBackend:
    """Loads models into this process, one at a time."""

    def __init__(self, limits: EngineLimits | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits or EngineLimits()
        self._thread = MlxThread(self._limits)
        self._clock = clock

    async def load(self, model: ModelInfo, report: ReportProgress) -> "MlxEngine":
        """Load `model`, dropping whatever was loaded before; cancelling gives up between two steps of reading.

        Raises:
            ModelLoadError: mlx-lm refused the folder.
        """
        inbox, cancelled, vitals = _Inbox(), threading.Event(), Vitals()
        self._thread.post(Load(model, inbox.put, cancelled, vitals))
        try:
            while True:
                match await inbox.get():
                    case LoadProgress(done, total):
                        report(Progress("loading", done, total))
                    case Failed(error):
                        raise error
                    case Done():
                        return MlxEngine(model, self._thread, self._limits, vitals, self._clock)
                    case _:
                        pass
        except asyncio.CancelledError:
            cancelled.set()
            # The load may have ended in this very moment; then this takes it back.
            self._thread.post(Unload(_ignore))
            raise

    def close(self) -> None:
        """Ask the thread to end; does not block."""
        self._thread.post(Stop())

    def join(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the thread's end; say whether it came."""
        return self._thread.join(timeout)


class MlxEngine:
    """The model that the MLX thread holds."""

    def __init__(
        self,
        model: ModelInfo,
        thread: MlxThread,
        limits: EngineLimits,
        vitals: Vitals,
        clock: Callable[[], float],
    ) -> None:
        self._model = model
        self._thread = thread
        self._limits = limits
        self._vitals = vitals
        self._clock = clock
        self._pending: Counter[str] = Counter()
        self._line: set[Job] = set()

    @property
    def model(self) -> ModelInfo:
        """The model that is loaded."""
        return self._model

    @property
    def memory(self) -> EngineMemory | None:
        """What MLX holds, as of the last event."""
        return self._vitals.memory

    @property
    def waiting(self) -> int:
        """Requests that the thread has not begun; told by its events, so a long step of the model delays nothing."""
        return len(self._line)

    @property
    def lost(self) -> bool:
        """Whether the thread has unloaded the model by itself."""
        return self._vitals.lost

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk]:
        """Answer `request`; see `Engine.stream`."""
        running, queue = self._limits.places, self._limits.queue_size
        pending = self._pending.total()
        # A client that has no call here is let in all the same: another's batch must not shut it out.
        if pending >= running + queue and self._pending[request.client]:
            raise BusyError(
                f"{running} calls are running and {pending - running} are waiting; the queue holds {queue}. Try "
                "again when one has finished."
            )
        inbox = _Inbox()
        job = Job(request, inbox.put, self._clock())
        answer = Reply(request, self._model)
        self._pending[request.client] += 1
        self._line.add(job)
        self._thread.post(Submit(job))
        try:
            while True:
                event = await inbox.get()
                if isinstance(event, Failed):
                    raise event.error
                if not isinstance(event, Queued):
                    self._line.discard(job)
                yield answer.chunk(event)
                if isinstance(event, Finished):
                    return
        finally:
            self._line.discard(job)
            self._pending[request.client] -= 1
            # Keeps no names of clients that have gone.
            self._pending = +self._pending
            if not job.cancelled.is_set() and not answer.finished:
                job.cancelled.set()
                self._thread.post(Wake())

    async def unload(self) -> None:
        """Drop the model; requests still running fail."""
        inbox = _Inbox()
        self._thread.post(Unload(inbox.put))
        await inbox.get()


def _ignore(event: Event) -> None:
    """Take an event that nobody waits for."""
