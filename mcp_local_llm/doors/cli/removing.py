"""The command `rm`: deletes a model's files after a question."""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import anyio.to_thread
import typer

from mcp_local_llm.doors.cli import show
from mcp_local_llm.doors.cli.completion import CompleteNames
from mcp_local_llm.doors.cli.run import DONE, FAILED, OpenLLM, Parts, act, note
from mcp_local_llm.doors.cli.show import JsonOption
from mcp_local_llm.values.errors import BusyError, InvalidRequestError
from mcp_local_llm.values.model import human_bytes
from mcp_local_llm.values.results import Status

if TYPE_CHECKING:
    from mcp_local_llm.models.removal import Removal
    from mcp_local_llm.models.storage import Storage

EXAMPLES = """\b
Examples:
  mcp-local-llm rm mlx-community/Qwen3-4B-4bit
  mcp-local-llm rm 3 --yes       (the number in `mcp-local-llm models`)"""


def add_remove_command(
    commands: typer.Typer, open_llm: OpenLLM, names: CompleteNames, storage: "Callable[[], Storage]"
) -> None:
    """Add `rm`."""

    def rm(
        name: Annotated[str, typer.Argument(help="Id, number of the list or part of an id.", autocompletion=names)],
        yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
        all_revisions: Annotated[
            bool, typer.Option("--all-revisions", help="In the Hugging Face cache, every revision of it.")
        ] = False,
        as_json: JsonOption = False,
    ) -> None:
        """Delete a model's files; asks first. What other models or revisions share stays."""
        # Imported here: other commands search no folders for models.
        from mcp_local_llm.models.removal import remove

        async def work(parts: Parts) -> int:
            where = storage()
            removal = await where.plan(name, all_revisions=all_revisions)
            _require_not_resident(removal.model, await parts.llm.status())
            if not yes and not await _confirmed(removal):
                note("nothing was removed")
                return FAILED
            # Again: the question may have been answered an hour later.
            _require_not_resident(removal.model, await parts.llm.status())
            await anyio.to_thread.run_sync(remove, removal)
            notes = [*removal.notes]
            if left := await where.path_of(removal.model):
                notes.append(f"{removal.model} is still here, in {left}. The same command removes that as well.")
            elif await anyio.to_thread.run_sync(where.is_chosen, removal.model):
                notes.append("It was the saved choice. Choose another with `mcp-local-llm use NAME`.")
            _show(removal, notes, as_json=as_json)
            return DONE

        act(open_llm, work)

    commands.command(epilog=EXAMPLES)(rm)


def _require_not_resident(model: str, status: Status) -> None:
    if status.model == model and status.state != "unloaded":
        raise BusyError(
            f"{model} is {'being loaded' if status.state == 'loading' else 'resident'} in process "
            f"{status.holder_pid or status.pid}. Run `mcp-local-llm unload` first."
        )


async def _confirmed(removal: "Removal") -> bool:
    """Show what would be deleted and ask on stderr.

    Raises:
        InvalidRequestError: nobody can be asked.
    """
    if not sys.stdin.isatty():
        raise InvalidRequestError(f"{removal.model} is only removed with --yes where nobody can be asked.")
    words = "\n".join([f"{removal.place} ({human_bytes(removal.size_bytes)})", *removal.notes])
    print(words, file=sys.stderr)
    question = f"Remove {removal.model}?"
    return await anyio.to_thread.run_sync(
        lambda: typer.confirm(question, default=False, err=True), abandon_on_cancel=True
    )


def _show(removal: "Removal", notes: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        place = str(removal.place)
        show.print_json({"model": removal.model, "path": place, "freed_bytes": removal.size_bytes, "notes": [*notes]})
    else:
        show.print_text("\n".join([f"{removal.model} is removed; {human_bytes(removal.size_bytes)} are free.", *notes]))
