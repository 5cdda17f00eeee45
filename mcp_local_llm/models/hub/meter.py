"""Counts the bytes of a download and tells how fast they come."""

from collections import deque
from collections.abc import Callable

from mcp_local_llm.values.engine import Progress, ReportProgress

WINDOW_S = 10.0
"""Seconds over which the rate is taken: long enough to be steady, short enough to follow a change."""


class Meter:
    """Owns the counts of one download."""

    def __init__(self, total: int, done: int, report: ReportProgress, clock: Callable[[], float]) -> None:
        self._total = total
        self._done = done
        self._report = report
        self._clock = clock
        self._fetched = 0
        self._marks = deque([(clock(), 0)])

    @property
    def fetched(self) -> int:
        """Bytes that came over the network."""
        return self._fetched

    def tell(self) -> None:
        """Report how things stand."""
        (then, before), (now, after) = self._marks[0], self._marks[-1]
        rate = (after - before) / (now - then) if now > then else None
        self._report(Progress("downloading", self._done, self._total, rate))

    def add(self, count: int) -> None:
        """Take bytes that arrived, and report."""
        self._done += count
        self._fetched += count
        now = self._clock()
        self._marks.append((now, self._fetched))
        while len(self._marks) > 2 and now - self._marks[1][0] > WINDOW_S:
            self._marks.popleft()
        self.tell()

    def take_back(self, count: int) -> None:
        """Forget bytes that were there and have to come again."""
        self._done -= count
