"""An event loop in which waiting takes no time: when nothing is ready, its clock jumps to the next timer."""

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
