"""Event loops in which waiting takes no time: when nothing is ready, their clock jumps to the next timer."""

import asyncio
import selectors

EventList = list[tuple[selectors.SelectorKey, int]]


class _JumpingSelector(selectors.SelectSelector):
    """Never waits for a timeout; adds it to `now` instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> EventList:
        if timeout is None:
            return super().select(None)
        ready = super().select(0)
        if not ready:
            self.now += max(timeout, 0.0)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Runs timers in their order, at once."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


class _LapsingSelector(selectors.SelectSelector):
    """Waits as usual, or, while `lapsing`, adds the timeout to `skipped` instead."""

    lapsing = False
    skipped = 0.0

    def select(self, timeout: float | None = None) -> EventList:
        if not self.lapsing or timeout is None:
            return super().select(timeout)
        ready = super().select(0)
        if not ready:
            self.skipped += max(timeout, 0.0)
        return ready


class TimeLapseLoop(asyncio.SelectorEventLoop):
    """Real time, but for the waits of `lapse`: so real threads and sockets may do their work before and after."""

    def __init__(self) -> None:
        self._lapsing = _LapsingSelector()
        super().__init__(self._lapsing)

    def time(self) -> float:
        return super().time() + self._lapsing.skipped

    async def lapse(self, seconds: float) -> None:
        """Let so many seconds pass at once, every timer in its order; what is to come before must have come."""
        self._lapsing.lapsing = True
        try:
            await asyncio.sleep(seconds)
        finally:
            self._lapsing.lapsing = False
