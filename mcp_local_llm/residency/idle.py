"""Act after a stretch of idleness. No thread and no polling: one timer of the event loop.

It uses asyncio because anyio has no timer: its sleeps and task groups need a task that owns them, and a model stays
resident between calls, when no task runs.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol


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


class IdleTimer:
    """Starts `action` when `start` was called and nothing for `seconds` after it; 0 seconds is never."""

    def __init__(self, seconds: float, action: Callable[[], Coroutine[Any, Any, None]], call_later: CallLater) -> None:
        self._seconds = seconds
        self._action = action
        self._call_later = call_later
        self._timer: Timer | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to count, from the beginning."""
        self.stop()
        if self._seconds > 0:
            self._timer = self._call_later(self._seconds, self._expired)

    def stop(self) -> None:
        """Stop counting. An action that has begun goes on; it must look whether it is still wanted."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expired(self) -> None:
        self._timer = None
        # Kept, because the loop itself holds tasks only weakly.
        self._task = asyncio.get_running_loop().create_task(self._action())
