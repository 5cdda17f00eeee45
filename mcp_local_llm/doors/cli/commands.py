"""Puts the commands together."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mcp_local_llm import __version__
from mcp_local_llm.doors.cli import show
from mcp_local_llm.doors.cli.bench import BenchParts, add_bench_command
from mcp_local_llm.doors.cli.chat import add_chat_command
from mcp_local_llm.doors.cli.completion import name_completion
from mcp_local_llm.doors.cli.config_command import add_config_command
from mcp_local_llm.doors.cli.doctor import Examine, add_doctor_command
from mcp_local_llm.doors.cli.install import ClientSettings, add_install_commands
from mcp_local_llm.doors.cli.launch import Launch, add_launch_command
from mcp_local_llm.doors.cli.model_commands import add_model_commands
from mcp_local_llm.doors.cli.run import (
    BROKEN_PIPE,
    FAILED,
    INTERRUPTED,
    WRONG_REQUEST,
    OpenLLM,
    drop_stdout,
    fail,
    perform,
    replace_unknown_letters,
)
from mcp_local_llm.doors.cli.serve import ServeActions, add_serve_command
from mcp_local_llm.doors.cli.show import JsonOption
from mcp_local_llm.doors.results_text import quick_test_text
from mcp_local_llm.llm.llm import LLM
from mcp_local_llm.setup.places import prompt_names, read_prompt
from mcp_local_llm.setup.settings_edit import SettingsEditor
from mcp_local_llm.values.call import Call, working_on
from mcp_local_llm.values.errors import shortened
from mcp_local_llm.values.progress import ReportProgress
from mcp_local_llm.values.results import QuickTest, QuickTestName

if TYPE_CHECKING:
    from mcp_local_llm.models.storage import Storage

HELP = """One resident local model for coding agents.

Without arguments: serve MCP on stdin and stdout, as a coding agent starts it, for example after
`claude mcp add --scope user local-llm -- mcp-local-llm`."""

EPILOG = """\b
Examples:
  mcp-local-llm pull mlx-community/Qwen3-4B-4bit
  mcp-local-llm use 4b
  mcp-local-llm chat "What is a mutex?"
  git diff | mcp-local-llm chat "Write a commit message for this."
  mcp-local-llm chat                     (on a terminal: a conversation)
  mcp-local-llm --install-completion     (names of models with Tab)

\b
Exit codes:
  0    done
  1    failed
  2    refused: a wrong argument, name or text, or a model in use
  3    an answer came, but it is cut off, empty or does not validate
  130  Ctrl-C; what came of an answer is on stdout
  141  nobody reads stdout any more"""


@dataclass(frozen=True)
class CommandParts:
    """What the commands work with.

    Attributes:
        open_llm: opens the verbs and the work on files.
        serve: what `serve` does.
        examine: what `doctor` does.
        storage: finds the files of models.
        settings: shows and changes settings.
        launch: starts a coding agent.
        clients: changes the settings of coding agents.
        bench: measures models, and keeps the reports.
        history: file of what was typed in interactive chats.
    """

    open_llm: OpenLLM
    serve: ServeActions
    examine: Examine
    storage: "Callable[[], Storage]"
    settings: SettingsEditor
    launch: Launch
    clients: Callable[[], ClientSettings]
    bench: Callable[[], BenchParts]
    history: Path


def run_command(parts: CommandParts) -> int:
    """Run the command in `sys.argv` and return the exit code."""
    replace_unknown_letters()
    try:
        build_commands(parts)(prog_name="mcp-local-llm")
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else 0
        # Typer's own code for both is 1.
        if isinstance(cause := leave.__context__, BrokenPipeError):
            drop_stdout()
            code = BROKEN_PIPE
        elif isinstance(cause, typer.Abort) and isinstance(cause.__context__, KeyboardInterrupt):
            code = INTERRUPTED
    except KeyboardInterrupt:
        code = INTERRUPTED
    else:
        code = 0
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        drop_stdout()
        return BROKEN_PIPE
    return code


def build_commands(parts: CommandParts) -> typer.Typer:
    """Make the commands."""
    commands = typer.Typer(help=HELP, epilog=EPILOG, pretty_exceptions_enable=False, rich_markup_mode=None)

    def options(
        context: typer.Context,
        version: Annotated[
            bool, typer.Option("--version", "-V", is_eager=True, callback=_version, help="Print the version.")
        ] = False,
        verbose: Annotated[
            bool, typer.Option("--verbose", "-v", help="Write a few lines for each call to stderr (log_level INFO).")
        ] = False,
    ) -> None:
        """Take the options before a command; `__main__` has read --verbose already."""
        # The log names the command, and never what follows it.
        context.with_resource(working_on(Call(f"cli {context.invoked_subcommand}")))

    commands.callback()(options)
    names = name_completion(parts.open_llm)
    add_chat_command(commands, parts.open_llm, names, parts.history)
    add_model_commands(commands, parts.open_llm, names, parts.storage)
    _add_small_commands(commands, parts.open_llm)
    add_config_command(commands, parts.settings)
    add_serve_command(commands, parts.serve)
    add_doctor_command(commands, parts.examine)
    add_launch_command(commands, parts.launch)
    add_install_commands(commands, parts.clients)
    add_bench_command(commands, parts.open_llm, parts.bench)
    return commands


def _add_small_commands(commands: typer.Typer, open_llm: OpenLLM) -> None:
    def test(
        name: Annotated[QuickTestName, typer.Argument(help="Which question.")] = "hello", as_json: JsonOption = False
    ) -> None:
        """Ask the chosen model one scripted question. The exit code is 1 where no answer comes."""

        async def ask(llm: LLM, report: ReportProgress) -> QuickTest:
            return await llm.quick_test(name, report)

        def judge(outcome: QuickTest) -> int:
            show.shown(as_json, quick_test_text)(outcome)
            return 0 if outcome.answered else FAILED

        perform(open_llm, ask, judge)

    def prompt(
        name: Annotated[
            str,
            typer.Argument(
                help="Name of a prompt, e.g. switch-model.",
                autocompletion=lambda: list(prompt_names()),
            ),
        ],
        as_json: JsonOption = False,
    ) -> None:
        """Print a prompt. It may go into .claude/commands/NAME.md."""
        if name not in prompt_names():
            fail(f"There is no prompt {shortened(name)!r}. Prompts: {', '.join(prompt_names())}.", WRONG_REQUEST)
        text = read_prompt(name)
        show.print_json({"name": name, "text": text}) if as_json else print(text, end="")

    commands.command(epilog="\b\nExample:\n  mcp-local-llm test tools")(test)
    commands.command(epilog="\b\nExample:\n  mcp-local-llm prompt delegate > .claude/commands/delegate.md")(prompt)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mcp-local-llm {__version__}")
        raise typer.Exit
