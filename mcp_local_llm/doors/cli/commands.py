"""The commands and their arguments."""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import anyio.to_thread
import typer

from mcp_local_llm import __version__
from mcp_local_llm.delegation.task import FileTask
from mcp_local_llm.doors.cli import show
from mcp_local_llm.doors.cli.bench import BenchParts, add_bench_command
from mcp_local_llm.doors.cli.doctor import Examine, add_doctor_command
from mcp_local_llm.doors.cli.install import ClientSettings, add_install_commands
from mcp_local_llm.doors.cli.run import FAILED, WRONG_REQUEST, OpenLLM, Parts, fail, perform, perform_on_files
from mcp_local_llm.doors.cli.serve import ServeActions, add_serve_command
from mcp_local_llm.llm.llm import LLM, collect_result
from mcp_local_llm.setup.places import prompt_names, read_prompt
from mcp_local_llm.values.chat import ChatRequest, ChatResult, Message, SamplingParams
from mcp_local_llm.values.errors import shortened
from mcp_local_llm.values.progress import ReportProgress
from mcp_local_llm.values.results import Download, ModelTable, QuickTest, QuickTestName, Status, Switch

HELP = """One resident local model for coding agents.

Without arguments: serve MCP on stdin and stdout, as a coding agent starts it, for example after
`claude mcp add --scope user local-llm -- mcp-local-llm`."""

Name = Annotated[str, typer.Argument(help="Role, id, fragment or number of the list.")]


def run_command(
    open_llm: OpenLLM,
    actions: ServeActions,
    examine: Examine,
    settings: Callable[[], ClientSettings],
    bench: Callable[[], BenchParts],
) -> int:
    """Run the command in `sys.argv` and return the exit code."""
    try:
        build_commands(open_llm, actions, examine, settings, bench)(prog_name="mcp-local-llm")
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 0
    return 0


def build_commands(
    open_llm: OpenLLM,
    actions: ServeActions,
    examine: Examine,
    settings: Callable[[], ClientSettings],
    bench: Callable[[], BenchParts],
) -> typer.Typer:
    """Make the commands.

    `serve` calls `actions`, `doctor` calls `examine`, `install` calls `settings`, `bench` calls `bench`, and all others
    open `open_llm`.
    """
    commands = typer.Typer(help=HELP, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

    def options(
        version: Annotated[
            bool, typer.Option("--version", "-V", is_eager=True, callback=_version, help="Print the version.")
        ] = False,
        verbose: Annotated[
            bool, typer.Option("--verbose", "-v", help="Write a line for each request to stderr (log_level INFO).")
        ] = False,
    ) -> None:
        """Take the options before a command; `__main__` has read --verbose already."""

    commands.callback()(options)
    _add_model_commands(commands, open_llm)
    _add_question_commands(commands, open_llm)
    _add_clean_command(commands, open_llm)
    add_serve_command(commands, actions)
    add_doctor_command(commands, examine)
    add_install_commands(commands, settings)
    add_bench_command(commands, open_llm, bench)
    return commands


def _add_model_commands(commands: typer.Typer, open_llm: OpenLLM) -> None:
    def models() -> None:
        """List the models on this machine; loads nothing."""

        async def ask(llm: LLM, report: ReportProgress) -> ModelTable:
            return await llm.list_models()

        perform(open_llm, ask, show.show_models)

    def use(
        name: Name,
        download: Annotated[bool, typer.Option("--download", help="Fetch it if it is not here.")] = False,
    ) -> None:
        """Choose the model; it is loaded once to see that it works."""

        async def ask(llm: LLM, report: ReportProgress) -> Switch:
            return await llm.set_model(name, report, download=download)

        perform(open_llm, ask, show.show_switch)

    def pull(name: Annotated[str, typer.Argument(help="Whole name of a repository, publisher/name.")]) -> None:
        """Download a safetensors model; an interrupted download is continued."""

        async def ask(llm: LLM, report: ReportProgress) -> Download:
            return await llm.download(name, report)

        perform(open_llm, ask, show.show_download)

    def status() -> None:
        """Tell what is resident, the saved choice and the memory."""

        async def ask(llm: LLM, report: ReportProgress) -> Status:
            return await llm.status()

        perform(open_llm, ask, show.show_status)

    def unload(
        force: Annotated[bool, typer.Option("--force", help="End the calls that use it with an error.")] = False,
    ) -> None:
        """Give the resident model's memory back; the choice stays, and the next call loads it again."""

        async def ask(llm: LLM, report: ReportProgress) -> Status:
            return await llm.unload(report, force=force)

        perform(open_llm, ask, show.show_status)

    for command in (models, use, pull, status, unload):
        commands.command()(command)


def _add_clean_command(commands: typer.Typer, open_llm: OpenLLM) -> None:
    def clean() -> None:
        """Delete what calls with files left behind: old versions of drafts, long answers, rows of unfinished calls."""

        async def ask(parts: Parts, report: ReportProgress) -> str:
            return await anyio.to_thread.run_sync(parts.delegation.clean)

        perform_on_files(open_llm, ask, print)

    commands.command()(clean)


def _add_question_commands(commands: typer.Typer, open_llm: OpenLLM) -> None:
    def chat(
        message: Annotated[
            str, typer.Argument(help="What to ask; - reads it from stdin. May be left out with --template.")
        ] = "",
        system: Annotated[str | None, typer.Option(help="System prompt.")] = None,
        model: Annotated[str | None, typer.Option(help="Ask this model; the choice stays.")] = None,
        max_tokens: Annotated[int | None, typer.Option(min=1, help="Longest answer in tokens.")] = None,
        thinking: Annotated[bool | None, typer.Option(help="Let the model reason first, or not.")] = None,
        file: Annotated[
            list[str] | None, typer.Option("--file", "-f", help="Read this: path, path:10-80, pattern, git:staged.")
        ] = None,
        each_file: Annotated[bool, typer.Option("--each-file", help="Ask the same of every file.")] = False,
        split: Annotated[bool, typer.Option("--split", help="Read what is longer than the window in parts.")] = False,
        template: Annotated[str | None, typer.Option(help="A task template; the message completes it.")] = None,
    ) -> None:
        """Ask the chosen model once and print its answer."""
        text = sys.stdin.read() if message == "-" else message
        request = ChatRequest((), sampling=SamplingParams(max_tokens), thinking=thinking)
        if file or template or each_file or split:
            task = FileTask(file or None, text, system or "", request, model, each_file, split, template)
            perform_on_files(open_llm, lambda parts, report: parts.delegation.chat(task, report), show.show_files)
            return
        if not text.strip():
            fail("There is no message.", WRONG_REQUEST)
        turns = [Message(role="system", content=system)] if system else []
        turns.append(Message(role="user", content=text))
        request = replace(request, messages=tuple(turns))

        async def ask(llm: LLM, report: ReportProgress) -> ChatResult:
            return await collect_result(llm.chat(request, report, model=model))

        perform(open_llm, ask, show.show_chat)

    def test(name: Annotated[QuickTestName, typer.Argument(help="Which question.")] = "hello") -> None:
        """Ask the chosen model one scripted question; the exit code is 1 where no answer comes."""

        async def ask(llm: LLM, report: ReportProgress) -> QuickTest:
            return await llm.quick_test(name, report)

        def judge(outcome: QuickTest) -> None:
            show.show_test(outcome)
            if not outcome.answered:
                raise typer.Exit(FAILED)

        perform(open_llm, ask, judge)

    def prompt(name: Annotated[str, typer.Argument(help="Name of a prompt, e.g. switch-model.")]) -> None:
        """Print a prompt, for example into .claude/commands/switch-model.md."""
        if name not in prompt_names():
            fail(f"There is no prompt {shortened(name)!r}. Prompts: {', '.join(prompt_names())}.", WRONG_REQUEST)
        print(read_prompt(name), end="")

    for command in (chat, test, prompt):
        commands.command()(command)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mcp-local-llm {__version__}")
        raise typer.Exit
