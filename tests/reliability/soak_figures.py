"""What a soak measures of each process, and what it calls flat."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import quantiles

import psutil

MEGABYTE = 1_000_000
MEMORY_SHARE, MEMORY_MB = 0.05, 5.0
"""Memory is flat where that of the last third is above that of the second by at most this share and this much."""
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
    """What a process held at the least over the second and the last third of a run; the first third is its warm-up.

    It is the lower quartile: memory goes up and down by a half with the model that is loaded at the moment, and so does
    a median of the few seconds that a third of a short run lasts.
    """

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
            Trend(name, _least(thirds[1]), _least(thirds[2]), sum(map(len, thirds)))
            for name, thirds in self.samples.items()
        ]


def _least(samples: list[Sample]) -> Sample:
    return Sample(
        _lower_quartile([one.memory_mb for one in samples]),
        int(_lower_quartile([one.files for one in samples])),
        int(_lower_quartile([one.threads for one in samples])),
    )


def _lower_quartile(values: list[float]) -> float:
    return quantiles(values, n=4, method="inclusive")[0]
