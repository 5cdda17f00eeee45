"""The values of reading: text of a file, or a file that failed, and what patterns left out. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mcp_local_llm.values.errors import FileAccessError


@dataclass(frozen=True)
class FileText:
    """Text to be read by a model: a file, a range of its lines, a diff, or a part of one of these.

    Attributes:
        name: as it is told: relative to the project, absolute elsewhere, or `git:staged`.
        text: the lines, with their ends as they are in the file.
        first, last: numbers of the lines, counted from 1; `last` is `first` - 1 where there is no line.
        total: number of lines of the whole file.
        path: where the file really is; None for a diff.
        part, parts: which part of how many.
        inside: the lines that enclose the beginning of a part: of a class, a function, or a file of a diff.
    """

    name: str
    text: str
    first: int = 1
    last: int = 0
    total: int = 0
    path: Path | None = None
    part: int = 1
    parts: int = 1
    inside: str = ""


@dataclass(frozen=True)
class FileFailure:
    """A file that cannot be read. `kind` is that of the `FileAccessError`."""

    name: str
    kind: str
    message: str

    def error(self) -> FileAccessError:
        """Return the failure as an error."""
        return FileAccessError(self.message, self.kind)


@dataclass(frozen=True)
class Reading:
    """What `files` stand for, in their order.

    Attributes:
        entries: texts; failures as well where each file is asked about by itself.
        left_out: why → how many files patterns and diffs left out: `secret`, `denied`, `ignored`, `hidden`, `binary` …
        notes: sentences about encodings that were guessed, ranges that were cut, files that were left out.
    """

    entries: tuple[FileText | FileFailure, ...]
    left_out: Mapping[str, int] = field(default_factory=dict[str, int])
    notes: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[FileText, ...]:
        """The entries that could be read."""
        return tuple(entry for entry in self.entries if isinstance(entry, FileText))


def shown(name: str) -> str:
    """Return a file's name in a form that fits into a line of text: what can't be printed is escaped."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)
