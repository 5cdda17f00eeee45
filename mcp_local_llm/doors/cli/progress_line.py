"""Shows the progress of a command on stderr: one live line on a terminal, else a line every few seconds.

It must not know which command runs.
"""

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mcp_local_llm.doors.cli.terminal import is_terminal, new_console
from mcp_local_llm.values.progress import Phase, Progress

if TYPE_CHECKING:
    from rich.live import Live

LINE_INTERVAL_S = 5.0
"""Seconds before the first line and between two lines where stderr is no terminal: a quick command prints none."""

BAR_WIDTH = 24
"""Columns of the bar beside the words."""

WITH_BAR: frozenset[Phase] = frozenset({"downloading", "loading", "prefill", "files", "parts"})
"""Phases whose end is known."""


def progress_line() -> "_LiveLine | SparseLines":
    """Return what shows progress on the stderr of this process, from entering to leaving or until it is hidden."""
    return _LiveLine() if is_terminal(sys.stderr) else SparseLines(_print_line)


def _print_line(line: str) -> None:
    print(f"mcp-local-llm: {line}", file=sys.stderr, flush=True)


class SparseLines:
    """Writes a line of progress every few seconds."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._next = clock() + LINE_INTERVAL_S
        self._hidden = False
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hidden = True

    def report(self, progress: Progress) -> None:
        """Write the progress where the last line is old enough; may be called from any thread."""
        with self._lock:
            now = self._clock()
            if self._hidden or now < self._next:
                return
            self._next = now + LINE_INTERVAL_S
        self._write(str(progress))

    def hide(self) -> None:
        """Do nothing: whole lines on a stream of their own disturb no answer."""


class _LiveLine:
    """One line on a terminal, with a bar where the end is known."""

    def __init__(self) -> None:
        self._live: Live | None = None

    def __enter__(self) -> Self:
        # Imported here: most commands without a terminal need no rich.
        from rich.live import Live
        from rich.spinner import Spinner

        console = new_console(stderr=True)
        # stdout is left alone: rich would take an answer for its own, and write it to stderr.
        self._live = Live(Spinner("dots", "starting"), console=console, transient=True, redirect_stdout=False)
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hide()

    def report(self, progress: Progress) -> None:
        """Show the progress in place of the last one; may be called from any thread."""
        from rich.progress_bar import ProgressBar
        from rich.spinner import Spinner
        from rich.table import Table

        live = self._live
        if live is None:
            return
        spinner = Spinner("dots", str(progress))
        if progress.phase not in WITH_BAR or not progress.total:
            live.update(spinner)
            return
        row = Table.grid(padding=(0, 1))
        row.add_row(ProgressBar(progress.total, min(progress.done, progress.total), width=BAR_WIDTH), str(progress))
        live.update(row)

    def hide(self) -> None:
        """Remove the line for good."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()
