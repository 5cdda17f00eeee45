"""Bytes of a file → text, lines and ranges of lines. Pure."""

import re
from dataclasses import dataclass

from mcp_local_llm.files.byte_order_marks import MARKS
from mcp_local_llm.values.errors import FileAccessError

_BINARY_STARTS = (
    b"%PDF-",
    b"\x1f\x8b",
    b"PK\x03\x04",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"BZh",
    b"\xfd7zXZ",
    b"\x7fELF",
)
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\f\b\x1b"))
MAX_CONTROL_SHARE = 0.01
"""The share of control characters in bytes that are no UTF-8, above which they are no text either."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


@dataclass(frozen=True)
class Decoded:
    """The text of a file. `guessed`: it is not known whether the encoding is right."""

    text: str
    encoding: str
    guessed: bool = False


def decoded(content: bytes, name: str) -> Decoded:
    """Decode by the byte order mark, else as UTF-8, else as Latin-1, which is a guess.

    Raises:
        FileAccessError: of kind `binary`.
    """
    for mark, encoding in MARKS:
        if content.startswith(mark):
            try:
                return Decoded(content[len(mark) :].decode(encoding), encoding)
            except UnicodeDecodeError:
                break
    if b"\0" in content or content.startswith(_BINARY_STARTS):
        raise _binary(name)
    try:
        return Decoded(content.decode("utf-8"), "utf-8")
    except UnicodeDecodeError:
        controls = len(content) - len(content.translate(None, _CONTROLS))
        if controls > MAX_CONTROL_SHARE * len(content):
            raise _binary(name) from None
        return Decoded(content.decode("latin-1"), "latin-1", guessed=True)


def _binary(name: str) -> FileAccessError:
    return FileAccessError(f"{name} is binary: it is no text. Leave it out, or convert it to text first.", "binary")


def lines_of(text: str) -> list[str]:
    r"""Split text after \n, \r\n and \r alone, as editors count lines; the ends stay."""
    return _LINE.findall(text)


@dataclass(frozen=True)
class LineRange:
    """Lines from `first` to `last`, counted from 1, both included."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


def cut(lines: list[str], wanted: LineRange, name: str) -> tuple[list[str], LineRange]:
    """Return the wanted lines and the range that they have; it ends where the file ends.

    Raises:
        FileAccessError: of kind `range`: it is reversed, begins before line 1 or behind the end.
    """
    if wanted.first < 1:
        raise FileAccessError(f"{name}:{wanted}: lines are counted from 1.", "range")
    if wanted.last < wanted.first:
        raise FileAccessError(f"{name}:{wanted} is reversed. Write {wanted.last}-{wanted.first}.", "range")
    if wanted.first > len(lines):
        count = f"{len(lines)} lines" if len(lines) != 1 else "1 line"
        raise FileAccessError(f"{name}:{wanted} begins behind the end: the file has {count}.", "range")
    found = LineRange(wanted.first, min(wanted.last, len(lines)))
    return lines[found.first - 1 : found.last], found
