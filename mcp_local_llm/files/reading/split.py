"""Cuts a text that is longer than a window into parts at natural borders. Pure.

A border is, from the outermost inwards: the beginning of a file in a diff, of a definition or heading (a line that
begins in the first column after an empty one), an empty line, a line, a letter. No parser is needed for that.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePath

from mcp_local_llm.files.reading.file_text import FileText
from mcp_local_llm.files.reading.text import lines_of

Count = Callable[[str], int]
"""Tokens of a text."""

MAX_PART_TOKENS = 8192
"""Models that advertise a long window lose facts in it (RULER, arXiv 2404.06654): a part stays short."""

OVERLAP_LINES = 6
"""Lines of prose and logs that a part repeats from the one before."""

MAX_INSIDE = 120
"""Characters of each enclosing line that are told."""

MAX_ENCLOSING = 4
"""Enclosing lines that are told, the inner ones first."""

_PROSE = frozenset(
    (".md", ".markdown", ".rst", ".txt", ".log", ".out", ".err", ".csv", ".tsv", ".jsonl", ".adoc", ".tex", "")
)
_DIFF = "diff --git "


def part_budget(window: int) -> int:
    """Return the tokens that a part may have in a window of so many."""
    return min(window // 4, MAX_PART_TOKENS)


def split(text: FileText, count: Count, budget: int) -> tuple[FileText, ...]:
    """Cut a text into parts of at most `budget` tokens each, by `count`; one that fits stays as it is.

    Every line is in a part. Where a part begins inside a definition or a file of a diff, `inside` says of which.

    Raises:
        ValueError: not even one letter fits.
    """
    tokens = count(text.text)
    if tokens <= budget:
        return (text,)
    cutter = _Cutter(text, count, budget, tokens)
    pieces = list(cutter.pieces())
    return tuple(
        replace(
            text,
            text=piece.text,
            first=text.first + piece.begin,
            last=text.first + piece.last,
            part=number,
            parts=len(pieces),
            inside=cutter.enclosing(piece.begin) if piece.whole else f"line {text.first + piece.begin} in pieces",
        )
        for number, piece in enumerate(pieces, start=1)
    )


@dataclass(frozen=True)
class _Piece:
    """Lines from `begin` to `last`, counted from 0; `whole`: it does not begin in the middle of a line."""

    begin: int
    last: int
    text: str
    whole: bool = True


class _Cutter:
    """Cuts one text."""

    def __init__(self, text: FileText, count: Count, budget: int, tokens: int) -> None:
        self._count, self._budget = count, budget
        self._lines = lines_of(text.text)
        self._is_diff = any(line.startswith(_DIFF) for line in self._lines)
        self._is_prose = not self._is_diff and PurePath(text.name).suffix.lower() in _PROSE
        self._ratio = max(len(text.text) / max(tokens, 1), 0.1)
        """Characters a token, as counted last."""

    def pieces(self) -> Iterator[_Piece]:
        """Yield the parts in their order."""
        begin = done = 0  # the lines before `done` are in a part; those from `begin` on may be repeated
        while done < len(self._lines):
            reach = self._reach(begin)
            if reach <= done and begin < done:
                begin = done
            elif reach == begin:
                yield from self._pieces_of_line(begin)
                begin = done = begin + 1
            else:
                end = reach if reach == len(self._lines) else self._border(begin, reach, done)
                yield _Piece(begin, end - 1, "".join(self._lines[begin:end]))
                done, begin = end, end - (min(OVERLAP_LINES, (end - begin) // 4) if self._is_prose else 0)

    def enclosing(self, begin: int) -> str:
        """Return the lines that enclose the one at `begin`: the headers of a diff, or what is indented less."""
        if self._is_diff:
            return self._enclosing_in_diff(begin)
        lines = self._lines
        start = next((at for at in range(begin, len(lines)) if lines[at].strip()), None)
        if self._is_prose or start is None:
            return ""
        depth, found = _indent(lines[start]), list[str]()
        for at in range(start - 1, -1, -1):
            if depth == 0:
                break
            if at < begin and lines[at].strip() and _indent(lines[at]) < depth and re.search(r"\w", lines[at]):
                depth = _indent(lines[at])
                found.append(lines[at].strip()[:MAX_INSIDE])
        return " / ".join(reversed(found[:MAX_ENCLOSING]))

    def _enclosing_in_diff(self, begin: int) -> str:
        found: list[str] = []
        for at in range(begin, -1, -1):
            line = self._lines[at]
            if line.startswith(_DIFF):
                return " / ".join([line.strip()[:MAX_INSIDE], *found]) if at < begin else ""
            if line.startswith("@@ ") and at < begin and not found:
                found.append(line.strip()[:MAX_INSIDE])
        return ""

    def _reach(self, begin: int) -> int:
        """Return the end of the longest run of whole lines that fits; `begin` where not even one does."""
        lines, low, high = self._lines, begin, len(self._lines)
        while low < high:
            guess, room = low, int(self._budget * self._ratio) - sum(map(len, lines[begin:low]))
            while guess < high and (room := room - len(lines[guess])) >= 0:
                guess += 1
            guess = min(max(guess, low + 1), high)
            if self._fits("".join(lines[begin:guess])):
                low = guess
            else:
                high = guess - 1
        return low

    def _fits(self, text: str) -> bool:
        tokens = self._count(text)
        self._ratio = max(len(text) / max(tokens, 1), 0.1)
        return tokens <= self._budget

    def _border(self, begin: int, reach: int, done: int) -> int:
        """Return the last of the outermost borders behind `done` in the second half of what fits."""
        half = begin + (reach - begin + 1) // 2
        best, best_rank = reach, 0
        for at in range(reach, max(half, done + 1) - 1, -1):
            if (rank := self._rank(at)) > best_rank:
                best, best_rank = at, rank
        return best

    def _rank(self, at: int) -> int:
        """Return how far outside the border before a line is: 3 a file of a diff, 2 a definition, 1 an empty line."""
        line, before = self._lines[at], self._lines[at - 1]
        if self._is_diff:
            return 3 if line.startswith(_DIFF) else 2 if line.startswith("@@ ") else 0
        if not before.strip() and line.strip():
            if self._is_prose:
                return 2 if line.startswith("#") else 1
            return 2 if _indent(line) == 0 else 1
        return 0

    def _pieces_of_line(self, at: int) -> Iterator[_Piece]:
        """Cut one line that does not fit."""
        line, begin = self._lines[at], 0
        while begin < len(line):
            length = min(max(int(self._budget * self._ratio), 1), len(line) - begin)
            while length > 1 and not self._fits(line[begin : begin + length]):
                length = max(min(length - 1, int(self._budget * self._ratio * 0.95)), 1)
            if length == 1 and self._count(line[begin]) > self._budget:
                raise ValueError(f"not even one letter fits into {self._budget} tokens")
            yield _Piece(at, at, line[begin : begin + length], whole=False)
            begin += length


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))
