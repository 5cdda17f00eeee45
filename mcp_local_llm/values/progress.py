"""The progress of a call, and the few words in which a client shows it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mcp_local_llm.values.model import human_bytes

Phase = Literal["queued", "downloading", "loading", "prefill", "reasoning", "answer", "files", "parts"]

PROGRESS_INTERVAL_S = 0.25
"""Seconds between two reports of progress; one for each token would cost speed."""
PROGRESS_KEEPALIVE_S = 5.0
"""Most seconds without a report: clients reset their timers at each one."""


@dataclass(frozen=True)
class Progress:
    """The progress of a call.

    Attributes:
        done, total: requests ahead when queued, bytes when downloading or loading, tokens otherwise; `total` is None
            where it is not known; files or parts that are done in the phases of those names.
        rate: tokens (when downloading: bytes) per second; None until it is measured.
        left_s: seconds until the end, estimated; only for files and parts.
    """

    phase: Phase
    done: int = 0
    total: int | None = None
    rate: float | None = None
    left_s: float | None = None

    def __str__(self) -> str:
        """Return the few words that a client shows beside a running call."""
        match self.phase:
            case "queued":
                return f"waiting, {self.done} {'call' if self.done == 1 else 'calls'} ahead"
            case "downloading":
                return _download_words(self.done, self.total or 0, self.rate)
            case "loading":
                return f"loading {100 * self.done // self.total} %" if self.total else "loading"
            case "prefill":
                return (
                    f"prefill {_short(self.done)}/{_short(self.total)}" if self.total else "waiting for the first token"
                )
            case "files" | "parts":
                rate = "" if self.rate is None else f", {self.rate:.0f} tok/s"
                left = "" if self.left_s is None else f", about {duration_words(self.left_s)}"
                return f"{self.done}/{self.total} {self.phase}{rate}{left}"
            case "reasoning" | "answer":
                rate = "" if self.rate is None else f", {self.rate:.0f} tok/s"
                return f"{'thinking, ' if self.phase == 'reasoning' else ''}{self.done} tokens{rate}"


def _download_words(done: int, total: int, rate: float | None) -> str:
    """Return the progress of a download: `downloading 1.2/4.3 GB, 38 MB/s, 81 s left`."""
    whole = human_bytes(total)
    unit = whole.rpartition(" ")[2]
    scale = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}[unit]
    words = f"downloading {done / scale:.{0 if scale == 1 else 1}f}/{whole}"
    if not rate:
        return words
    return f"{words}, {human_bytes(round(rate))}/s, {duration_words((total - done) / rate)} left"


def duration_words(seconds: float) -> str:
    """Format a time as 81 s, 12 min or 3 h."""
    left = round(seconds)
    return f"{left} s" if left < 120 else f"{left // 60} min" if left < 7200 else f"{left // 3600} h"


def _short(count: int) -> str:
    """Format a count of tokens as 812, 3.1k or 31k."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}".removesuffix(".0") + "k" if count < 10_000 else f"{count / 1000:.0f}k"


ReportProgress = Callable[[Progress], None]
"""Receives the progress of a call; may be called from any thread."""
