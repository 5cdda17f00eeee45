"""What a soak measures of each process, and what it calls flat."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

import psutil

MEGABYTE = 1_000_000
MEMORY_SHARE, MEMORY_MB = 0.05, 5.0
"""Memory is flat where the median of the last third is above that of the second by at most this share and this much."""
FILES_MORE, THREADS_MORE = 3, 3
"""How many more file descriptors and threads the last third may have; both go up and down with the calls under way."""


@dataclass(frozen=True)
class Sample:
    """One look at a process."""

    memory_mb: float
    files: int
    threads: int


@dataclass(frozen=True)
class Trend:
    """The medians of a process over the second and the last third of a run; the first third is its warm-up."""

    name: str
    second: Sample
    last: Sample
    samples: int

    @property
    def risen(self) -> list[str]:
        """What is not flat, in words."""
        allowed = self.second.memory_mb * (1 + MEMORY_SHARE) + MEMORY_MB
        rises = {
            f"memory rose from {self.second.memory_mb:.1f} to {self.last.memory_mb:.1f} MB": (
                self.last.memory_mb > allowed
            ),
            f"file descriptors rose from {self.second.files} to {self.last.files}": (
                self.last.files > self.second.files + FILES_MORE
            ),
            f"threads rose from {self.second.threads} to {self.last.threads}": (
                self.last.threads > self.second.threads + THREADS_MORE
            ),
        }
        return [f"{self.name}: {words}" for words, risen in rises.items() if risen]


@dataclass
class Figures:
    """The samples of a run, by process and third."""

    samples: dict[str, list[list[Sample]]] = field(default_factory=dict[str, list[list[Sample]]])

    def look(self, pids: Mapping[str, int], third: int) -> None:
        """Take one sample of each process."""
        for name, pid in pids.items():
            process = psutil.Process(pid)
            with process.oneshot():
                one = Sample(process.memory_info().rss / MEGABYTE, process.num_fds(), process.num_threads())
            self.samples.setdefault(name, [[], [], []])[third].append(one)

    def trends(self) -> list[Trend]:
        """Return how each process went."""
        return [
            Trend(name, _median(thirds[1]), _median(thirds[2]), sum(map(len, thirds)))
            for name, thirds in self.samples.items()
        ]


def _median(samples: list[Sample]) -> Sample:
    return Sample(
        median(one.memory_mb for one in samples),
        int(median(one.files for one in samples)),
        int(median(one.threads for one in samples)),
    )
