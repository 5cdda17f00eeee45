"""The results of `bench`: figures with their spread, and scores of tasks. Frozen values, written as JSON."""

import statistics

from pydantic import BaseModel, ConfigDict, Field


class Frozen(BaseModel):
    """A value of a report; a report of a later version may hold more."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Figure(Frozen):
    """One quantity, measured several times.

    Attributes:
        name: what was measured; `unit`: of the values.
        values: one for each round.
        more_is_better: a speed, and not a time or a size.
        note: what a reader must know about it.
    """

    name: str
    unit: str
    values: tuple[float, ...]
    more_is_better: bool = True
    note: str = ""

    @property
    def median(self) -> float:
        """Return the median of the rounds."""
        return statistics.median(self.values)

    @property
    def spread(self) -> str:
        """Return the lowest and the highest value in words; empty for a single round."""
        return f"{rounded(min(self.values))} to {rounded(max(self.values))}" if len(self.values) > 1 else ""


class Score(Frozen):
    """How many tasks of one kind a model did right; `seconds` is the median time of one."""

    kind: str
    right: int
    total: int
    seconds: float


class BenchReport(Frozen):
    """All that was measured for one model.

    Attributes:
        model: its id; `machine` and `versions`: where it was measured.
        when: UTC, ISO 8601.
        notes: sentences for the reader, such as what was left out and why.
    """

    model: str
    machine: str
    versions: str
    when: str
    figures: tuple[Figure, ...] = ()
    scores: tuple[Score, ...] = ()
    notes: tuple[str, ...] = Field(default=())

    def figure(self, name: str) -> Figure | None:
        """Return the figure of that name."""
        return next((figure for figure in self.figures if figure.name == name), None)


def rounded(value: float) -> str:
    """Write a number with three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
