"""The interface of payload readers: each one reads the calls at a position, or declines.

A reader returns None where its kind of payload does not begin, and raises `PayloadError` where it begins but
can't be read. It never looks for its opener: the reader of elements has found it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from mcp_local_llm.parsing.offered_tools import OfferedTools
from mcp_local_llm.parsing.parsed import PayloadError
from mcp_local_llm.values.chat import ToolCall

NAME = r"[A-Za-z_][\w.\-:/]*+"
"""The name of a tool in markup without quotation marks."""

_SPACE = re.compile(r"\s*+")


@dataclass(frozen=True)
class Source:
    """The text that a payload is read from, and its context.

    Attributes:
        closer: ends the element that is being read; "" if it has no end of its own.
        explicit: the markup says that this is a call; without, the payload must name its arguments (R23).
    """

    text: str
    closer: str
    tools: OfferedTools
    explicit: bool = True


@dataclass(frozen=True)
class Payload:
    """One payload: its calls, and where it ends. No calls means that it is well formed but calls nothing."""

    calls: tuple[ToolCall, ...]
    end: int


PayloadReader = Callable[[Source, int], Payload | None]


def skip_space(text: str, position: int) -> int:
    """Return the first position that is not whitespace."""
    match = _SPACE.match(text, position)
    assert match is not None  # the pattern also matches nothing
    return match.end()


def broken(text: str, position: int, *expected: str) -> PayloadError:
    """Return the error for text that does not continue as expected; a beginning at the very end counts as cut off."""
    rest = text[position : position + 64]
    at_end = position + len(rest) == len(text)
    return PayloadError(position, cut=not rest or (at_end and any(mark.startswith(rest) for mark in expected)))


def unframed(raw: str) -> str:
    """Take one framing newline off each side of a value (R24); CRLF counts as LF (R1)."""
    return raw.replace("\r\n", "\n").removeprefix("\n").removesuffix("\n")
