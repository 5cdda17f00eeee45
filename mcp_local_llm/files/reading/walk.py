"""Finds the files that a pattern matches: no hidden ones, none that git ignores, no folder behind a link.

It lists names and opens only the lists of what git ignores. The walk is bounded in steps.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mcp_local_llm.files.access.globs import Glob, expanded, glob, nfc
from mcp_local_llm.files.access.ignore_rules import IgnoreRules, ignore_rules
from mcp_local_llm.files.reading.file_text import shown
from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.values.errors import FileAccessError

MAX_ENTRIES = 200_000
"""The most names that one pattern looks at."""

FEW_GLOBS = 10
"""Alternatives in braces above which a name counts several times, because it is compared with each."""

MAX_IGNORE_BYTES = 2**20


@dataclass(frozen=True)
class Matches:
    """What a pattern matches.

    Attributes:
        paths: absolute, in the order of their names.
        left_out: why → how many: `hidden` and `ignored` files (a folder counts as one), `links` to folders.
    """

    paths: tuple[Path, ...]
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class _IgnoreList:
    """The rules of one folder, which are about what is below it."""

    folder: Path
    rules: IgnoreRules


@dataclass(frozen=True)
class _Folder:
    """A folder to go into: the positions of the patterns after its name, and the lists that stand above it."""

    path: Path
    states: tuple[frozenset[int], ...]
    ignored: tuple[_IgnoreList, ...]


@dataclass
class _Walk:
    """One walk. `globs`: the pattern without braces; `seen`: names looked at so far."""

    pattern: str
    globs: tuple[Glob, ...]
    is_secret: Callable[[Path], bool]
    left_out: Counter[str] = field(default_factory=Counter[str])
    seen: int = 0

    def below(self, base: Path, ignored: tuple[_IgnoreList, ...]) -> Iterator[Path]:
        """Yield the files below a folder, in the order of their names."""
        stack = [self._inside(_Folder(base, (frozenset({0}),) * len(self.globs), ignored))]
        while stack:
            match next(stack[-1], None):
                case None:
                    stack.pop()
                case _Folder() as folder:
                    stack.append(self._inside(folder))
                case path:
                    yield path

    def _inside(self, folder: _Folder) -> Iterator[Path | _Folder]:
        """Yield what is wanted of one folder: files, and folders to go into."""
        ignored = (*folder.ignored, *_ignore_list(folder.path, folder.path / ".gitignore"))
        for entry in self._entries(folder.path):
            name = nfc(entry.name)
            pairs = zip(self.globs, folder.states, strict=True)
            after = tuple(one.step(state, name) for one, state in pairs)
            is_folder = entry.is_dir(follow_symlinks=False)
            path = folder.path / entry.name
            if not self._wanted(after, folder=is_folder or _leads_to_folder(entry)):
                self._count_hidden(path, folder, is_folder=is_folder)
            elif _is_ignored(path, ignored, folder=is_folder):
                self._leave_out("ignored", path)
            elif is_folder:
                yield _Folder(path, after, ignored)
            elif _leads_to_folder(entry):
                self.left_out["links"] += 1
            else:
                yield path

    def _wanted(self, states: Sequence[frozenset[int]], *, folder: bool) -> bool:
        pairs = zip(self.globs, states, strict=True)
        return any(one.goes_on(state) if folder else one.ends(state) for one, state in pairs)

    def _leave_out(self, why: str, path: Path) -> None:
        self.left_out["secret" if self.is_secret(path) else why] += 1

    def _count_hidden(self, path: Path, folder: _Folder, *, is_folder: bool) -> None:
        """Count a name that does not match because it has a leading dot, which only a written dot matches."""
        if path.name.startswith(".") and path.name != ".git":
            pairs = zip(self.globs, folder.states, strict=True)
            if self._wanted([one.step(state, "\ufffd") for one, state in pairs], folder=is_folder):
                self._leave_out("hidden", path)

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as found:
                entries: list[os.DirEntry[str]] = []
                for entry in found:
                    entries.append(entry)
                    self.seen += 1 + len(self.globs) // FEW_GLOBS
                    if self.seen > MAX_ENTRIES:
                        raise FileAccessError(
                            f"{shown(self.pattern)} looks at more than {MAX_ENTRIES:,} names. "
                            "Begin the pattern with the folder that is meant.",
                            "too_many",
                        )
        except OSError:  # it is gone, or this user may not list it
            self.left_out["unreadable"] += 1
            return []
        return sorted(entries, key=lambda entry: nfc(entry.name))


def matches(pattern: str, base: Path, is_secret: Callable[[Path], bool]) -> Matches:
    """Find the files below `base` that a relative pattern matches.

    Secrets are among them where they are neither hidden nor ignored; `is_secret` tells how those are counted.

    Raises:
        FileAccessError: of kind `too_many`.
    """
    try:
        globs = tuple(glob(one) for one in expanded(pattern))
    except ValueError as error:
        raise FileAccessError(f"{shown(pattern)}: {error}. Name fewer.", "too_many") from error
    walk = _Walk(pattern, globs, is_secret)
    paths = tuple(walk.below(base, _lists_above(base)))
    return Matches(paths, walk.left_out)


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads back to itself
        return False


def _is_ignored(path: Path, lists: Sequence[_IgnoreList], *, folder: bool) -> bool:
    """Whether git ignores a path; the list that is nearest to it decides."""
    for one in reversed(lists):
        decision = one.rules.decides(path.relative_to(one.folder).parts, folder=folder)
        if decision is not None:
            return decision
    return False


def _lists_above(base: Path) -> tuple[_IgnoreList, ...]:
    """Read the lists of the repository that apply in `base` and stand above it."""
    top = next((folder for folder in (base, *base.parents) if os.path.exists(folder / ".git")), None)
    if top is None:
        return ()
    between = [folder for folder in reversed(base.parents) if folder.is_relative_to(top)]
    own = _ignore_list(top, top / ".git" / "info" / "exclude")
    return (*own, *(found for folder in between for found in _ignore_list(folder, folder / ".gitignore")))


def _ignore_list(folder: Path, file: Path) -> Iterator[_IgnoreList]:
    try:
        # As in git, a list that is a link does not count.
        text = "" if file.is_symlink() else read_regular(file, MAX_IGNORE_BYTES).decode("utf-8", "replace")
    except OSError:
        return
    if rules := ignore_rules(text.split("\n")).rules:
        yield _IgnoreList(folder, IgnoreRules(rules))
