"""What a comparison gives: a row of medians, its ratio and whether that meets what was promised."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the report.

    Attributes:
        ours, theirs: medians, in `unit`.
        ratio: ours over theirs, or theirs over ours where less is better; as the promise is worded.
        least, most: the promise; None where there is none on that side.
    """

    what: str
    model: str
    ours: float
    theirs: float
    unit: str
    ratio: float
    least: float | None = None
    most: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the promise is kept; None where nothing was promised."""
        if self.least is None and self.most is None:
            return None
        return (self.least is None or self.ratio >= self.least) and (self.most is None or self.ratio <= self.most)

    @property
    def promise(self) -> str:
        """Write the promise as it is checked."""
        parts = [f"≥ {self.least:g}"] if self.least is not None else []
        return " and ".join([*parts, *([f"≤ {self.most:g}"] if self.most is not None else [])]) or "-"


class Series:
    """Measurements by name, in the order of the rounds; a first round that warms up is left out."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}

    def add(self, number: int, **values: float) -> None:
        """Take the values of round `number`; below 0 it only warms up."""
        if number >= 0:
            for name, value in values.items():
                self._values.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> list[float]:
        return self._values[name]


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios of neighbours: both were measured within seconds of each other."""
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


def compare(
    what: str,
    model: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    unit: str,
    *,
    least: float | None = None,
    most: float | None = None,
) -> Row:
    """Make a row of two series that were measured in turns; the ratio is ours over theirs."""
    middle, other = statistics.median(ours), statistics.median(theirs)
    return Row(what, model, middle, other, unit, median_ratio(ours, theirs), least, most)


def require_tokens(count: int, tokens: int) -> None:
    """Raise where an answer is shorter than was asked: both sides of a comparison must compute the same."""
    if count != tokens:
        raise RuntimeError(f"the answer has {count} tokens, not {tokens}")


def table(rows: Sequence[Row]) -> str:
    """Write the rows as a Markdown table."""
    lines = [
        "| measured | model | ours | reference | ratio | promised | kept |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        kept = {True: "yes", False: "**no**", None: ""}[row.met]
        cells = (
            row.what,
            row.model,
            f"{_short(row.ours)} {row.unit}",
            f"{_short(row.theirs)} {row.unit}",
            f"{row.ratio:.3f}" if abs(row.ratio) < 10 else f"{row.ratio:.1f}",
            row.promise,
            kept,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
