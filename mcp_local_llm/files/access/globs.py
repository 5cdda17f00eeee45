"""The language of patterns: `src/**/*.py`, `{a,b}`, `[a-z]`, `?`, and a backslash before a letter. Pure.

A pattern is compared component by component, and a component without backtracking, so that no pattern takes long.
Names are compared in one Unicode form (NFC), because file systems and archives keep names in different ones.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

MAX_ALTERNATIVES = 256
"""The most patterns that the braces of one pattern may stand for."""

ANY_DEPTH = "**"

_MAGIC = re.compile(r"[*?\[{]")


def has_magic(text: str) -> bool:
    """Whether a text is a pattern rather than a name."""
    return _MAGIC.search(text) is not None


def nfc(name: str) -> str:
    """Return a name in the Unicode form in which names are compared."""
    return unicodedata.normalize("NFC", name)


def folded(name: str) -> str:
    """Return a name as the laxest file system compares it: HFS+ ignores case and joiners, SMB dots at the end."""
    letters = (letter for letter in unicodedata.normalize("NFKC", name) if unicodedata.category(letter) != "Cf")
    return "".join(letters).casefold().rstrip(". ")


def expanded(pattern: str) -> list[str]:
    """Return the patterns that the braces of a pattern stand for; braces without a comma stand for themselves.

    Raises:
        ValueError: there are more than `MAX_ALTERNATIVES`.
    """
    done: list[str] = []
    waiting = [pattern]
    while waiting:
        one = waiting.pop()
        if (found := _braces(one)) is None:
            done.append(one)
        else:
            start, end, choices = found
            waiting += [one[:start] + choice + one[end:] for choice in reversed(choices)]
        if len(done) + len(waiting) > MAX_ALTERNATIVES:
            raise ValueError(f"its braces stand for more than {MAX_ALTERNATIVES} patterns")
    return done


def _braces(pattern: str) -> tuple[int, int, list[str]] | None:
    """Find the first pair of braces with a comma: where it starts and ends, and the choices between them."""
    waiting: list[list[int]] = []  # the open braces, each with the commas after it
    pairs: list[list[int]] = []
    escaped = False
    for at, letter in enumerate(pattern):
        if escaped or letter == "\\":
            escaped = not escaped
        elif letter == "{":
            waiting.append([at])
        elif letter == "," and waiting:
            waiting[-1].append(at)
        elif letter == "}" and waiting:
            pair = [*waiting.pop(), at]
            if len(pair) > 2:
                pairs.append(pair)
    if not pairs:
        return None
    first = min(pairs)
    return first[0], first[-1] + 1, [pattern[begin + 1 : end] for begin, end in pairwise(first)]


@dataclass(frozen=True)
class Component:
    """One component of a pattern.

    Attributes:
        text: as it was written.
        regex: what a whole name has to match; None for `**`, which stands for any number of components.
    """

    text: str
    regex: re.Pattern[str] | None

    def matches(self, name: str, *, hidden: bool) -> bool:
        """Whether a name fits; without `hidden`, a name with a leading dot only fits one that is written with a dot."""
        if not hidden and name.startswith(".") and not self.text.startswith((".", "\\.")):
            return False
        return self.regex is None or self.regex.fullmatch(name) is not None


@dataclass(frozen=True)
class Glob:
    """A pattern without braces, as its components. `hidden`: wildcards match names with a leading dot as well."""

    components: tuple[Component, ...]
    hidden: bool = False

    def step(self, states: frozenset[int], name: str) -> frozenset[int]:
        """Return the positions in the pattern after one more component of a path; `{0}` are those before the first."""
        after: set[int] = set()
        for state in self._open(states):
            if state < len(self.components) and self.components[state].matches(name, hidden=self.hidden):
                after.add(state if self.components[state].regex is None else state + 1)
        return frozenset(after)

    def ends(self, states: frozenset[int]) -> bool:
        """Whether a path that led to these positions matches."""
        return len(self.components) in self._open(states)

    def goes_on(self, states: frozenset[int]) -> bool:
        """Whether a longer path may match."""
        return any(state < len(self.components) for state in self._open(states))

    def matches(self, parts: Sequence[str]) -> bool:
        """Whether a path, given as its components, matches."""
        states = frozenset({0})
        for part in parts:
            states = self.step(states, nfc(part))
        return bool(parts) and self.ends(states)

    def _open(self, states: frozenset[int]) -> Iterator[int]:
        """Add the positions after each `**`, which may stand for nothing."""
        for state in states:
            yield state
            while state < len(self.components) and self.components[state].regex is None:
                state += 1
                yield state


def glob(pattern: str, *, hidden: bool = False, fold: bool = False) -> Glob:
    """Compile a pattern without braces; `fold` ignores upper and lower case."""
    parts = [part for part in nfc(pattern).split("/") if part not in ("", ".")]
    if parts and parts[-1] == ANY_DEPTH:
        parts.append("*")  # what is below a folder, not the folder itself
    flags = (re.IGNORECASE if fold else 0) | re.DOTALL
    compiled = (Component(part, None if part == ANY_DEPTH else re.compile(_regex(part), flags)) for part in parts)
    return Glob(tuple(compiled), hidden)


def _regex(component: str) -> str:
    """Translate one component. Between two stars the first match is taken and kept, so that nothing is tried twice."""
    pieces: list[str] = [""]
    at = 0
    while at < len(component):
        letter = component[at]
        at += 1
        if letter == "*":
            if pieces[-1] or len(pieces) == 1:
                pieces.append("")
        elif letter == "?":
            pieces[-1] += "."
        elif letter == "[" and (found := _character_class(component, at)) is not None:
            regex, at = found
            pieces[-1] += regex
        elif letter == "\\" and at < len(component):
            pieces[-1] += re.escape(component[at])
            at += 1
        else:
            pieces[-1] += re.escape(letter)
    first, *rest = pieces
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>.*?{piece})" for piece in middle) + f".*{last}"


def _character_class(component: str, at: int) -> tuple[str, int] | None:
    """Translate `[...]` whose bracket was at `at - 1`; None where it is not closed and stands for itself."""
    negated = component[at : at + 1] in ("!", "^")
    begin = at + negated
    end = component.find("]", begin + 1)  # a bracket at the beginning belongs to the class
    if end < 0:
        return None
    inside = component[begin:end]
    pieces: list[str] = []
    place = 0
    while place < len(inside):
        low = inside[place]
        if inside[place + 1 : place + 2] == "-" and place + 2 < len(inside):
            high = inside[place + 2]
            if low <= high:
                pieces.append(f"{re.escape(low)}-{re.escape(high)}")
            place += 3
        else:
            pieces.append(re.escape(low))
            place += 1
    if not pieces:  # only reversed ranges: nothing is in it
        return ("." if negated else "(?!)"), end + 1
    return f"[{'^' if negated else ''}{''.join(pieces)}]", end + 1
