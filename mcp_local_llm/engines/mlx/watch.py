"""Detects that the MLX thread hangs in a step: a thread that waits for the device cannot be ended.

`StepWatch` holds the present step and its bound in seconds; the MLX thread writes it, any thread reads it.
`Watchdog` runs on the event loop and fails the waiting calls once the bound has passed.
"""

# asyncio: anyio has no timer that calls back.
import asyncio
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from mcp_local_llm.engines.mlx.messages import Emit, Failed
from mcp_local_llm.values.errors import BackendUnavailableError

CHECK_S = 1.0
"""Seconds between two checks of the MLX thread while calls wait for it."""


class Timer(Protocol):
    """A timer that was set."""

    def cancel(self) -> None:
        """Never call back."""
        ...


CallLater = Callable[[float, Callable[[], None]], Timer]
"""Calls back after so many seconds, as the event loop's method of that name."""


def loop_call_later(seconds: float, callback: Callable[[], None]) -> Timer:
    """Set a timer of the running event loop."""
    return asyncio.get_running_loop().call_later(seconds, callback)


@dataclass(frozen=True)
class _BoundedStep:
    what: str
    since: float
    bound_s: float


class StepWatch:
    """The present step of the MLX thread, its start, and its bound in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._work: _BoundedStep | None = None

    @contextmanager
    def bounded(self, what: str, bound_s: float) -> Generator[None]:
        """Bound the block to `bound_s` seconds, on the MLX thread; an inner block has a bound of its own."""
        outer = self._work
        self._work = _BoundedStep(what, self._clock(), bound_s)
        try:
            yield
        finally:
            self._work = None if outer is None else _BoundedStep(outer.what, self._clock(), outer.bound_s)

    def advance(self) -> None:
        """Restart the bound, because the step has made progress."""
        if self._work is not None:
            self._work = _BoundedStep(self._work.what, self._clock(), self._work.bound_s)

    def fault(self) -> str | None:
        """Return a message with the remedy where the present step is overdue, else None."""
        work = self._work
        if work is None:
            return None
        seconds = self._clock() - work.since
        if seconds <= work.bound_s:
            return None
        pid = os.getpid()
        return (
            f"The MLX engine of process {pid} hangs: {work.what} has taken {seconds:.0f} s, and {work.bound_s:.0f} s "
            f"are allowed. It answers no calls until that returns. To go on now, end process {pid}: the next call "
            "then loads the model again."
        )

    def check(self) -> None:
        """Refuse a new call while the thread hangs.

        Raises:
            BackendUnavailableError: with the process's number and the remedy.
        """
        fault = self.fault()
        if fault is not None:
            raise BackendUnavailableError(fault)


class Watchdog:
    """Fails the calls that wait for the MLX thread when its step is overdue; runs on the event loop."""

    def __init__(self, watch: StepWatch, call_later: CallLater) -> None:
        self._watch = watch
        self._call_later = call_later
        self._waiting: set[Emit] = set()
        self._timer: Timer | None = None

    @contextmanager
    def guarding(self, emit: Emit) -> Generator[None]:
        """Send `Failed` to `emit` if a step of the thread becomes overdue during the block."""
        self._waiting.add(emit)
        self._arm()
        try:
            yield
        finally:
            self._waiting.discard(emit)
            if not self._waiting and self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _arm(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = self._call_later(CHECK_S, self._look)

    def _look(self) -> None:
        self._timer = None
        fault = self._watch.fault()
        if fault is not None:
            for emit in tuple(self._waiting):
                emit(Failed(BackendUnavailableError(fault)))
        self._arm()
