"""What the terminal is: its width, its colours, and texts that are harmless on it. It must not know results."""

import os
import re
import shutil
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 240
"""Columns where the output is no terminal: lines stay whole for grep."""

# All control characters but tab and newline: a model's or a file's text must not steer the terminal.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal that can move its cursor."""
    return stream is not None and not stream.closed and stream.isatty() and os.environ.get("TERM") != "dumb"


def columns() -> int:
    """Return the width of stdout to write for: COLUMNS, else that of the terminal, else `PIPE_WIDTH`."""
    named = os.environ.get("COLUMNS", "")
    if named.isdecimal() and int(named):
        return int(named)
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPE_WIDTH


def new_console(*, stderr: bool = False, width: int | None = None) -> "Console":
    """Return a console of rich; without any style where NO_COLOR is set to something."""
    from rich.console import Console

    color = None if os.environ.get("NO_COLOR") else "auto"
    return Console(stderr=stderr, width=width, color_system=color, highlight=False, markup=False)


def harmless(text: str) -> str:
    """Return a text without control characters, which are shown as U+FFFD; line ends become newlines."""
    return _CONTROLS.sub("\ufffd", text.replace("\r\n", "\n"))
