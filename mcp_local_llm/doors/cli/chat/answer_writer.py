"""Writes an answer to stdout while it comes: as it is, or as rendered Markdown on a terminal.

Finished blocks of Markdown are printed once and stay; only the block that is being written is drawn anew.
"""

import re
import sys
from typing import TYPE_CHECKING, Protocol

from mcp_local_llm.doors.cli.terminal import harmless, is_terminal, new_console
from mcp_local_llm.wire.json_values import encodable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live

_HIGH_SURROGATE = re.compile("[\ud800-\udbff]$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


class AnswerWriter(Protocol):
    """Writes one answer."""

    def write(self, text: str) -> None:
        """Write the next part."""
        ...

    def end(self) -> None:
        """Write what was held back, and end the last line."""
        ...


def answer_writer(*, plain: bool) -> AnswerWriter:
    """Return the writer for the stdout of this process: Markdown is rendered on a terminal, unless `plain`."""
    if is_terminal(sys.stdout) and not plain:
        return RenderedAnswer(new_console())
    return PlainAnswer()


class PlainAnswer:
    """Writes an answer as it is; on a terminal without control characters."""

    def __init__(self) -> None:
        self._held = ""
        self._last = "\n"
        self._terminal = sys.stdout.isatty()

    def write(self, text: str) -> None:
        """Write the next part at once; half of a surrogate pair waits for the other half."""
        text = self._held + text
        half = _HIGH_SURROGATE.search(text)
        self._held = half[0] if half else ""
        self._write(text[: half.start()] if half else text)

    def end(self) -> None:
        """Write what was held back, and end the last line."""
        self._write(self._held + ("" if self._last == "\n" and not self._held else "\n"))
        self._held = ""

    def _write(self, text: str) -> None:
        if text:
            self._last = text[-1]
            text = encodable(text)
            sys.stdout.write(harmless(text) if self._terminal else text)
            sys.stdout.flush()


class RenderedAnswer:
    """Renders Markdown block by block."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._open = ""
        self._live: Live | None = None

    def write(self, text: str) -> None:
        """Print the blocks that are finished now, and show the beginning of the next one."""
        # Imported here: a pipe needs no rich.
        from rich.live import Live

        done, self._open = finished_blocks(self._open + text)
        if self._live is None:
            self._live = Live(console=self._console, transient=True, redirect_stdout=False, redirect_stderr=False)
            self._live.start()
        if done:
            self._show(done)
        self._live.update(_Tail(self._open))

    def end(self) -> None:
        """Print the last block."""
        live, self._live = self._live, None
        if live is not None:
            live.update("")
            live.stop()
        rest, self._open = self._open, ""
        if rest.strip():
            self._show(rest)

    def _show(self, text: str) -> None:
        from rich.markdown import Markdown

        # Printed while the live block is shown, it goes above it.
        self._console.print(Markdown(harmless(encodable(text))))


class _Tail:
    """The last lines of a block that is not finished, as many as the terminal shows."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.markdown import Markdown
        from rich.segment import Segment

        if not self._text.strip():
            return
        lines = console.render_lines(Markdown(harmless(encodable(self._text))), options, pad=False)
        for number, line in enumerate(lines[-max(console.height - 2, 1) :]):
            if number:
                yield Segment.line()
            yield from line


def finished_blocks(text: str) -> tuple[str, str]:
    """Split Markdown into the blocks that later text cannot change, and the rest.

    A block ends with an empty line that a line without indentation follows, outside of fenced code.
    """
    fence, blank, end, at = "", False, 0, 0
    for line in text.splitlines(keepends=True):
        if fence:
            closing = _FENCE.match(line)
            if closing and closing[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif opening := _FENCE.match(line):
            end = at if blank else end
            fence = opening[1]
        elif blank and line.strip() and not line[0].isspace():
            end = at
        blank = not line.strip()
        at += len(line)
    return text[:end], text[end:]
