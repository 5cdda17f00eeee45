"""The language of `files`: what one entry of the list stands for.

A name that exists as it is written beats every other reading, so this module looks at names on the disk. It opens
nothing: what it finds is read through `opening`.
"""

import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from mcp_local_llm.files.access.globs import has_magic
from mcp_local_llm.files.access.roots import Roots, without_links
from mcp_local_llm.files.reading.file_text import shown
from mcp_local_llm.files.reading.text import LineRange
from mcp_local_llm.values.errors import FileAccessError, InvalidRequestError

GIT = "git:"
MAX_DIGITS = 9
"""Digits of a line number; a longer one is no number of a line."""

MAX_NAME_BYTES = 4096
"""PATH_MAX of Linux."""

_RANGE = re.compile(
    r"(?P<path>.+?)(?::L?(?P<a>[0-9]+)(?:-L?(?P<b>[0-9]+))?|#L(?P<c>[0-9]+)(?:-L?(?P<d>[0-9]+))?)", re.DOTALL
)
_NEARLY_RANGE = re.compile(r"(?P<path>.+?)(?::|#)L?[-\u2013\u2014,:L0-9 ]+", re.DOTALL)


@dataclass(frozen=True)
class NamedFile:
    """A file, or a range of its lines. `name` is as it is told; `path` is absolute."""

    name: str
    path: Path
    lines: LineRange | None = None


@dataclass(frozen=True)
class Pattern:
    """A pattern below the project."""

    text: str


@dataclass(frozen=True)
class GitSource:
    """What follows `git:`."""

    text: str


Entry = NamedFile | Pattern | GitSource


def checked_files(files: object) -> tuple[str, ...]:
    """Return the list; a bare string is a list of one.

    Raises:
        InvalidRequestError: it is something else, or empty.
    """
    entries = [files] if isinstance(files, str) else files
    if not isinstance(entries, list | tuple) or not entries:
        raise InvalidRequestError('`files` is a list of names, such as ["src/app.py", "docs/*.md"].')
    for entry in cast(list[object], entries):
        if not isinstance(entry, str) or not entry.strip():
            raise InvalidRequestError(f"`files` has {entry!r:.80}, which is no name of a file. Leave it out.")
    return tuple(cast(list[str], entries))


def read_entry(text: str, roots: Roots) -> Entry:
    """Tell what an entry stands for.

    Raises:
        FileAccessError: of kind `missing`, `outside` or `range`.
    """
    if not _can_be_a_name(text):
        raise FileAccessError(f"There is no file {shown(text[:80])}: no file can be called so.", "missing")
    base = roots.base
    if base is None:
        raise FileAccessError(f"{shown(text)} is not read. {roots.told()}", "outside")
    if (found := _existing(text, roots, base)) is not None:
        return found
    if text.startswith(GIT):
        return GitSource(text.removeprefix(GIT))
    if (match := _RANGE.fullmatch(text)) and (found := _existing(match["path"], roots, base)) is not None:
        return NamedFile(found.name, found.path, _lines(match, found.name))
    match = _NEARLY_RANGE.fullmatch(text)
    found = _existing(match["path"], roots, base) if match else None
    # What lies outside is refused as such, so that nothing is told about it.
    if found is not None and roots.root_of(without_links(found.path)) is not None:
        forms = f"{shown(found.name)}:10-80 or {shown(found.name)}:10"
        raise FileAccessError(f"{shown(text)} does not say which lines. Write {forms}.", "range")
    if (match := _RANGE.fullmatch(text)) and has_magic(match["path"]):
        raise FileAccessError(f"{shown(text)}: lines are those of one file. Name it, or leave the lines out.", "range")
    if has_magic(text):
        return Pattern(_relative_pattern(text, roots, base))
    path = _absolute(text, roots, base)
    return NamedFile(_told(path, base), path)


def _can_be_a_name(text: str) -> bool:
    try:
        return "\0" not in text and len(os.fsencode(text)) < MAX_NAME_BYTES
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can hold
        return False


def _existing(text: str, roots: Roots, base: Path) -> NamedFile | None:
    """Find a name as it is written, or in another Unicode form: agents send NFC, some disks and archives keep NFD."""
    for path in (base / text, _absolute(text, roots, base)):
        for one in dict.fromkeys((path, _respelled(path))):
            if _is_there(one):
                return NamedFile(_told(one, base), one)
    return None


def _absolute(text: str, roots: Roots, base: Path) -> Path:
    return roots.home / text[2:] if text.startswith("~/") else base / text


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except (OSError, ValueError):
        return False
    return True


def _respelled(path: Path) -> Path:
    """Return the path with each component in the Unicode form in which it exists."""
    found = Path(path.anchor)
    for part in path.parts[1:]:
        forms = (part, *(unicodedata.normalize(form, part) for form in ("NFC", "NFD")))
        found /= next((form for form in forms if _is_there(found / form)), part)
    return found


def _told(path: Path, base: Path) -> str:
    """Return how a path is told: relative to the project where it is below it."""
    written = Path(os.path.normpath(path))
    ways = (written, without_links(written.parent) / written.name)
    return next((str(way.relative_to(base)) for way in ways if way.is_relative_to(base)), str(written))


def _lines(match: re.Match[str], name: str) -> LineRange:
    first, last = (match["a"], match["b"]) if match["a"] is not None else (match["c"], match["d"])
    numbers = [first, last if last is not None else first]
    if any(len(number.lstrip("0")) > MAX_DIGITS for number in numbers):
        raise FileAccessError(f"{shown(name)}: no file has so many lines. Name lines that it has.", "range")
    return LineRange(int(numbers[0]), int(numbers[1]))


def _relative_pattern(text: str, roots: Roots, base: Path) -> str:
    """Refuse a pattern that is not below the project; say how it is written where it could be."""
    climbs = ".." in text.split("/")
    if not climbs and not text.startswith(("/", "~/")):
        return text
    near = text.removeprefix(f"{base}/") if text.startswith(f"{base}/") and not climbs else ""
    remedy = f"Write {shown(near)}." if near else roots.told()
    raise FileAccessError(f"{shown(text)}: patterns are relative to the project. {remedy}", "outside")
