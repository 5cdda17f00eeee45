"""Lists of patterns as in a .gitignore: the last one that matches decides, `!` takes back. Pure.

The same language tells what git ignores, what the user's settings call secret or allow, and what an agent's own
settings deny.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mcp_local_llm.files.access.globs import Component, Glob, expanded, glob, nfc


@dataclass(frozen=True)
class IgnoreRule:
    """One line.

    Attributes:
        globs: patterns with a slash, one for each choice of its braces: about paths.
        names: patterns without a slash: about names at any depth.
        only_folders: it ended in a slash.
        negated: it began with `!`.
    """

    globs: tuple[Glob, ...]
    names: tuple[Component, ...]
    only_folders: bool
    negated: bool

    def matches(self, parts: Sequence[str], *, folder: bool) -> bool:
        """Whether the rule is about this path itself; what lies below a matching folder is up to the caller."""
        if self.only_folders and not folder:
            return False
        name = nfc(parts[-1])
        return any(one.matches(name, hidden=True) for one in self.names) or any(
            one.matches(parts) for one in self.globs
        )

    def depths(self, parts: Sequence[str]) -> Iterator[int]:
        """Yield after how many components a path matches; whether it is a folder there is up to the caller."""
        states = [(one, frozenset({0})) for one in self.globs]
        for depth, name in enumerate(map(nfc, parts), start=1):
            states = [(one, after) for one, before in states if (after := one.step(before, name))]
            if any(one.matches(name, hidden=True) for one in self.names) or any(one.ends(now) for one, now in states):
                yield depth


@dataclass(frozen=True)
class IgnoreRules:
    """Rules in their order."""

    rules: tuple[IgnoreRule, ...] = ()

    def decides(self, parts: Sequence[str], *, folder: bool) -> bool | None:
        """Return whether a path itself is in the list; None where no rule is about it."""
        for rule in reversed(self.rules):
            if rule.matches(parts, folder=folder):
                return not rule.negated
        return None

    def holds(self, parts: Sequence[str]) -> bool:
        """Whether a file is in the list, by its own name or by that of a folder above it."""
        whole = len(parts)
        decisions: dict[int, bool] = {}
        for rule in self.rules:
            depths = (depth for depth in rule.depths(parts) if depth < whole or not rule.only_folders)
            decisions.update(dict.fromkeys(depths, not rule.negated))
        return any(decisions.values())


def ignore_rules(lines: Iterable[str], *, fold: bool = False, braces: bool = False) -> IgnoreRules:
    """Read the lines of a list; `fold` ignores upper and lower case, `braces` lets `{a,b}` stand for two patterns."""
    rules = (_rule(line, fold=fold, braces=braces) for line in lines)
    return IgnoreRules(tuple(rule for rule in rules if rule is not None))


def _rule(line: str, *, fold: bool, braces: bool) -> IgnoreRule | None:
    text = line.rstrip("\r\n")
    while text.endswith(" ") and not text.endswith("\\ "):
        text = text[:-1]
    if not text or text.startswith("#"):
        return None
    negated = text.startswith("!")
    text = text.removeprefix("!").removeprefix("./")
    only_folders = text.endswith("/")
    path = text.rstrip("/")
    if not path:
        return None
    try:
        patterns = expanded(path) if braces else [path]
    except ValueError:
        patterns = [path]
    globs = tuple(glob(one, hidden=True, fold=fold) for one in patterns if "/" in one)
    names = tuple(glob(one, hidden=True, fold=fold).components[-1] for one in patterns if "/" not in one and one != ".")
    return IgnoreRule(globs, names, only_folders, negated)
