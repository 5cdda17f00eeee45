"""Runs one command: opens the `LLM`, shows progress on stderr, and turns errors into exit codes."""

import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import NoReturn, Protocol, TypeVar

import anyio
import typer
from rich.console import Console

from mcp_local_llm.delegation.delegation import Delegation
from mcp_local_llm.doors.results_text import without_tools
from mcp_local_llm.llm.llm import LLM
from mcp_local_llm.values.errors import LocalLLMError
from mcp_local_llm.values.progress import Progress, ReportProgress

FAILED = 1
WRONG_REQUEST = 2
INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ended, as in shells (128 + SIGINT)."""

Result = TypeVar("Result")


class Parts(Protocol):
    """What a command may call."""

    @property
    def llm(self) -> LLM:
        """Executes the verbs."""
        ...

    @property
    def delegation(self) -> Delegation:
        """Works on files."""
        ...


OpenLLM = Callable[[Callable[[str], None]], AbstractAsyncContextManager[Parts]]
"""Opens the parts; the argument prints a sentence for the user. Leaving the context ends everything it started."""


def perform(
    open_llm: OpenLLM, ask: Callable[[LLM, ReportProgress], Awaitable[Result]], show: Callable[[Result], None]
) -> None:
    """Call a verb, then show its result; see `perform_on_files`."""
    perform_on_files(open_llm, lambda parts, report: ask(parts.llm, report), show)


def perform_on_files(
    open_llm: OpenLLM, ask: Callable[[Parts, ReportProgress], Awaitable[Result]], show: Callable[[Result], None]
) -> None:
    """Do the work of a command, then show its result; meanwhile progress is one line on stderr, if that is a terminal.

    Raises:
        typer.Exit: with the code of the failure, whose text is on stderr by then.
    """
    console = Console(stderr=True)

    async def run() -> None:
        async with open_llm(note) as parts:
            with console.status("starting") as line:

                def report(progress: Progress) -> None:
                    line.update(str(progress))

                result = await ask(parts, report)
            # The line is gone by now: while it is shown, rich takes what is printed for its own.
            show(result)

    try:
        anyio.run(run)
    except LocalLLMError as error:
        fail(str(error), WRONG_REQUEST if 400 <= error.status < 500 else FAILED)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)


def fail(text: str, code: int) -> NoReturn:
    """Say on stderr what went wrong, and end the command."""
    note(text)
    raise typer.Exit(code)


def note(text: str) -> None:
    """Print a note on stderr; this door has no MCP tools."""
    print(f"mcp-local-llm: {without_tools(text)}", file=sys.stderr)
