"""The command `launch`: starts a coding agent whose every model request is answered by this program."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import anyio
import typer
from rich.console import Console

from mcp_local_llm.doors.cli.run import INTERRUPTED, code_of, fail, note
from mcp_local_llm.values.errors import LocalLLMError
from mcp_local_llm.values.launch_order import AgentName, LaunchOrder
from mcp_local_llm.values.progress import Progress, ReportProgress

Launch = Callable[[LaunchOrder, Callable[[str], None], ReportProgress], Awaitable[int]]
"""Starts the agent and returns its exit code; takes what says a sentence to the user, and the progress of a load."""


def add_launch_command(commands: typer.Typer, launch: Launch) -> None:
    """Add `launch`."""

    def command(
        agent: Annotated[AgentName, typer.Argument(help="Which agent.")],
        arguments: Annotated[
            list[str] | None, typer.Argument(help="For the agent; after -- where this command has the same option.")
        ] = None,
        model: Annotated[str | None, typer.Option(help="Start it with this model; the choice stays.")] = None,
        small: Annotated[bool, typer.Option("--small", help="The smallest first request (claude).")] = False,
        keep_mcp: Annotated[
            bool, typer.Option("--keep-mcp", help="Keep your MCP servers, except this program's own.")
        ] = False,
        shown: Annotated[
            bool, typer.Option("--print", help="Print a `serve` and an agent command that do the same.")
        ] = False,
        force: Annotated[bool, typer.Option("--force", help="Start it although its window is too short.")] = False,
        subagents_local: Annotated[
            bool,
            typer.Option(
                "--subagents-local",
                help="Your own model and login answer, but subagents with `model: local-llm` (claude).",
            ),
        ] = False,
    ) -> None:
        """Start a coding agent that works with the local model; none of its settings files is changed."""
        words = tuple(arguments or ())
        _run(LaunchOrder(agent, model, small, keep_mcp, shown, force, subagents_local, words), launch)

    commands.command(name="launch", context_settings={"ignore_unknown_options": True})(command)


def _run(order: LaunchOrder, launch: Launch) -> None:
    """Start the agent; the progress of a load is one line on stderr, which is gone before anything is said.

    Raises:
        typer.Exit: with the agent's exit code, or with that of the failure, whose text is on stderr by then.
    """
    line = Console(stderr=True).status("starting")

    def say(sentence: str) -> None:
        line.stop()
        note(sentence)

    def report(progress: Progress) -> None:
        line.update(str(progress))

    try:
        with line:
            code = anyio.run(launch, order, say, report)
    except LocalLLMError as error:
        fail(str(error), code_of(error))
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)
    raise typer.Exit(code)
