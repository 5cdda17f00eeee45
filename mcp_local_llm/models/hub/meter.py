"""Counts the bytes of a download and measures its rate. Apart from `transfer`, which imports httpx."""

import time
from collections import deque

from mcp_local_llm.values.progress import Progress, ReportProgress

WINDOW_S = 10.0
"""Seconds over which the rate is measured: long enough for a steady rate, short enough to follow a change."""


class TransferMeter:
    """Counts the bytes of one download, and reports its progress.

    Attributes:
        fetched: bytes that were downloaded.
    """

    def __init__(self, total: int, done: int, report: ReportProgress) -> None:
        self._total = total
        self._done = done
        self._report_progress = report
        self.fetched = 0
        self._samples = deque([(time.monotonic(), 0)])

    def report(self) -> None:
        """Report the progress."""
        (then, before), (now, after) = self._samples[0], self._samples[-1]
        rate = (after - before) / (now - then) if now > then else None
        self._report_progress(Progress("downloading", self._done, self._total, rate))

    def add(self, count: int) -> None:
        """Count downloaded bytes, and report."""
        self._done += count
        self.fetched += count
        now = time.monotonic()
        self._samples.append((now, self.fetched))
        while len(self._samples) > 2 and now - self._samples[1][0] > WINDOW_S:
            self._samples.popleft()
        self.report()

    def discard(self, count: int) -> None:
        """Subtract bytes that must be downloaded again."""
        self._done -= count
