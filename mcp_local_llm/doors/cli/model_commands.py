"""The commands about models and about the process that holds one."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import anyio
import anyio.to_thread
import typer

from mcp_local_llm.doors import results_text
from mcp_local_llm.doors.cli import show
from mcp_local_llm.doors.cli.completion import CompleteNames
from mcp_local_llm.doors.cli.removing import add_remove_command
from mcp_local_llm.doors.cli.run import OpenLLM, Parts, act, perform, perform_on_files
from mcp_local_llm.doors.cli.show import JsonOption
from mcp_local_llm.llm.llm import LLM
from mcp_local_llm.values.errors import UnknownModelError
from mcp_local_llm.values.progress import ReportProgress
from mcp_local_llm.values.results import Download, Status, Switch

if TYPE_CHECKING:
    from mcp_local_llm.models.storage import Storage

WATCH_S = 1.0
"""Seconds between two looks of --watch."""

WatchOption = Annotated[bool, typer.Option("--watch", "-w", help="Go on until Ctrl-C, once a second.")]

USE_EXAMPLES = """\b
Examples:
  mcp-local-llm use 32b
  mcp-local-llm use mlx-community/Qwen3-4B-4bit --download
  mcp-local-llm use 2            (the number in `mcp-local-llm models`)"""

PULL_EXAMPLES = """\b
Example:
  mcp-local-llm pull mlx-community/Qwen3-4B-4bit"""

STATUS_EXAMPLES = """\b
Examples:
  mcp-local-llm status --watch
  mcp-local-llm status --json | jq .model"""


def add_model_commands(
    commands: typer.Typer, open_llm: OpenLLM, names: CompleteNames, storage: "Callable[[], Storage]"
) -> None:
    """Add the commands that choose, load, list, fetch and remove models."""
    name_argument = typer.Argument(help="Role, id, fragment or number of the list.", autocompletion=names)

    def models(as_json: JsonOption = False) -> None:
        """List the models on this machine; loads nothing."""
        perform(open_llm, lambda llm, report: llm.list_models(), show.print_result if as_json else show.show_models)

    def use(
        name: Annotated[str, name_argument],
        download: Annotated[bool, typer.Option("--download", help="Fetch it if it is not here.")] = False,
        as_json: JsonOption = False,
    ) -> None:
        """Choose the model; it is loaded once to see that it works."""

        async def ask(llm: LLM, report: ReportProgress) -> Switch:
            return await llm.set_model(name, report, download=download)

        perform(open_llm, ask, show.shown(as_json, results_text.switch_text))

    def default(as_json: JsonOption = False) -> None:
        """Load the registry's default model. The saved choice is forgotten."""

        async def ask(llm: LLM, report: ReportProgress) -> Switch:
            return await _use_default(llm, report, storage())

        perform(open_llm, ask, show.shown(as_json, results_text.switch_text))

    def pull(
        name: Annotated[str, typer.Argument(help="Whole name of a repository, publisher/name.")],
        as_json: JsonOption = False,
    ) -> None:
        """Download a safetensors model, or continue an interrupted download."""

        async def ask(llm: LLM, report: ReportProgress) -> Download:
            return await llm.download(name, report)

        perform(open_llm, ask, show.shown(as_json, results_text.download_text))

    commands.command(epilog="\b\nExample:\n  mcp-local-llm models --json | jq '.models[].name'")(models)
    commands.command(epilog=USE_EXAMPLES)(use)
    commands.command()(default)
    commands.command(epilog=PULL_EXAMPLES)(pull)
    add_remove_command(commands, open_llm, names, storage)
    _add_state_commands(commands, open_llm)


def _add_state_commands(commands: typer.Typer, open_llm: OpenLLM) -> None:
    def status(watch: WatchOption = False, as_json: JsonOption = False) -> None:
        """Tell what is resident, the saved choice and the memory."""
        _look(open_llm, show.shown(as_json, results_text.status_text), watch=watch, as_json=as_json)

    def ps(watch: WatchOption = False, as_json: JsonOption = False) -> None:
        """Show the resident model, its process and its calls."""
        _look(open_llm, show.print_result if as_json else show.show_running, watch=watch, as_json=as_json)

    def unload(
        force: Annotated[bool, typer.Option("--force", help="End the calls that use it with an error.")] = False,
        as_json: JsonOption = False,
    ) -> None:
        """Give the resident model's memory back. The choice stays, and the next call loads it again."""

        async def ask(llm: LLM, report: ReportProgress) -> Status:
            return await llm.unload(report, force=force)

        perform(open_llm, ask, show.shown(as_json, results_text.status_text))

    def clean(as_json: JsonOption = False) -> None:
        """Delete what calls with files left behind.

        That is old versions of drafts, long answers and rows of unfinished calls; no model and no setting.
        """

        async def ask(parts: Parts, report: ReportProgress) -> str:
            return await anyio.to_thread.run_sync(parts.delegation.clean)

        perform_on_files(open_llm, ask, lambda text: show.print_json({"text": text}) if as_json else print(text))

    commands.command(epilog=STATUS_EXAMPLES)(status)
    commands.command(epilog="\b\nExample:\n  mcp-local-llm ps --watch")(ps)
    commands.command(epilog="\b\nExample:\n  mcp-local-llm unload --force")(unload)
    commands.command()(clean)


def _look(open_llm: OpenLLM, print_status: Callable[[Status], None], *, watch: bool, as_json: bool) -> None:
    """Print the status, with `watch` again and again: in place on a terminal, else one below the other."""
    if not watch:
        perform(open_llm, lambda llm, report: llm.status(), print_status)
        return

    async def work(parts: Parts) -> None:
        while True:
            status = await parts.llm.status()
            if as_json:
                show.print_result(status, indent=None)
            else:
                show.clear_screen()
                print_status(status)
            sys.stdout.flush()
            await anyio.sleep(WATCH_S)

    act(open_llm, work)


async def _use_default(llm: LLM, report: ReportProgress, storage: "Storage") -> Switch:
    """Load the model of the role `default`, then forget the saved choice, so that the registry decides again.

    Raises:
        UnknownModelError: the registry names no model as default, or one that is not here.
    """
    table = await llm.list_models()
    row = next((row for row in table.models if "default" in row.roles), None)
    if row is None:
        raise UnknownModelError(await anyio.to_thread.run_sync(storage.missing_default))
    switch = await llm.set_model(row.name, report)
    await anyio.to_thread.run_sync(storage.forget_choice)
    chosen = (await llm.list_models()).chosen
    notes = ["No choice is saved any more: the registry's default is used until you choose."]
    if chosen != row.name:
        notes = [f"No choice is saved any more, but the setting `model` means {chosen}, which the next call uses."]
    return switch.model_copy(update={"notes": [*switch.notes, *notes]})
