"""Runs one command: opens the parts, shows progress on stderr, and turns errors into exit codes."""

import io
import os
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from typing import NoReturn, Protocol, TypeVar

import anyio
import typer

from mcp_local_llm.delegation.delegation import Delegation
from mcp_local_llm.doors.cli.progress_line import progress_line
from mcp_local_llm.doors.cli.terminal import harmless
from mcp_local_llm.doors.results_text import without_tools
from mcp_local_llm.llm.llm import LLM
from mcp_local_llm.setup.log import logged_call
from mcp_local_llm.values.call import Call, current_call
from mcp_local_llm.values.errors import LocalLLMError
from mcp_local_llm.values.progress import ReportProgress

DONE = 0
FAILED = 1
WRONG_REQUEST = 2
INCOMPLETE = 3
"""Exit code where an answer came that is cut off, empty, or does not validate."""
INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ended, as in shells (128 + SIGINT)."""
BROKEN_PIPE = 141
"""Exit code of a program whose output nobody reads any more, as in shells (128 + SIGPIPE)."""

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


Show = Callable[[Result], int | None]
"""Prints a result; returns the exit code where that is not 0."""


def perform(open_llm: OpenLLM, ask: Callable[[LLM, ReportProgress], Awaitable[Result]], show: Show[Result]) -> None:
    """Call a verb, then show its result; see `perform_on_files`."""
    perform_on_files(open_llm, lambda parts, report: ask(parts.llm, report), show)


def perform_on_files(
    open_llm: OpenLLM, ask: Callable[[Parts, ReportProgress], Awaitable[Result]], show: Show[Result]
) -> None:
    """Do the work of a command, then show its result; progress is on stderr meanwhile. Raises as `act`."""

    async def work(parts: Parts) -> int | None:
        with progress_line() as line:
            result = await ask(parts, line.report)
        # The line is gone by now: it may be on the same terminal.
        return show(result)

    act(open_llm, work)


def act(open_llm: OpenLLM, work: Callable[[Parts], Awaitable[int | None]]) -> None:
    """Open the parts and do the work of a command, which returns its exit code where that is not 0.

    Raises:
        typer.Exit: with the code of the command, or of its failure, whose text is on stderr by then.
    """

    async def run() -> int | None:
        async with open_llm(note) as parts:
            with logged_call(current_call() or Call("cli")):
                code = await work(parts)
            sys.stdout.flush()
        return code

    try:
        code = anyio.run(run)
    except LocalLLMError as error:
        fail(str(error), code_of(error))
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        drop_stdout()
        code = BROKEN_PIPE
    if code:
        raise typer.Exit(code)


@contextmanager
def telling_failures() -> Generator[None]:
    """End the command where the block fails, with the text of the failure on stderr."""
    try:
        yield
    except LocalLLMError as error:
        fail(str(error), code_of(error))


def code_of(error: LocalLLMError) -> int:
    """Return the exit code of an error: a wrong request, or a failure."""
    return WRONG_REQUEST if 400 <= error.status < 500 else FAILED


def replace_unknown_letters() -> None:
    """Write a question mark for each letter that the encoding of a stream lacks: no name or answer ends a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def drop_stdout() -> None:
    """Let what is left in the buffer of stdout go nowhere, without a word: nobody reads it any more."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(text: str, code: int) -> NoReturn:
    """Say on stderr what went wrong, and end the command."""
    note(text)
    raise typer.Exit(code)


def note(text: str) -> None:
    """Print a note on stderr; this door has no MCP tools."""
    with suppress(BrokenPipeError):
        print(f"mcp-local-llm: {harmless(without_tools(text))}", file=sys.stderr, flush=True)
