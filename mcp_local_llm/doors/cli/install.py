"""The commands `install` and `uninstall`: show the change of each client's settings, ask, and make it."""

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Protocol

import typer

from mcp_local_llm.doors.cli.run import FAILED, WRONG_REQUEST, fail, note
from mcp_local_llm.doors.cli.show import JsonOption, print_json
from mcp_local_llm.values.client_change import ClientChange
from mcp_local_llm.values.errors import ConfigError, InvalidRequestError

Clients = Annotated[
    list[str] | None, typer.Option("--client", help="Only this client; may be repeated. Without it, all that are here.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


class ClientSettings(Protocol):
    """Plans changes of the clients' settings."""

    def install(self, names: Sequence[str]) -> tuple[ClientChange, ...]:
        """Plan to write this server into them."""
        ...

    def uninstall(self, names: Sequence[str]) -> tuple[ClientChange, ...]:
        """Plan to take it out of them."""
        ...


def add_install_commands(commands: typer.Typer, settings: Callable[[], ClientSettings]) -> None:
    """Add `install` and `uninstall`."""

    def install(client: Clients = None, dry_run: DryRun = False, yes: Yes = False, as_json: JsonOption = False) -> None:
        """Write this server into the settings of the coding agents on this machine; shows each change first."""
        _change(_planned(settings().install, client), ask=not yes, dry_run=dry_run, as_json=as_json)

    def uninstall(
        client: Clients = None, dry_run: DryRun = False, yes: Yes = False, as_json: JsonOption = False
    ) -> None:
        """Take this server out of the settings of the coding agents; what `install` changed becomes what it was."""
        _change(_planned(settings().uninstall, client), ask=not yes, dry_run=dry_run, as_json=as_json)

    commands.command()(install)
    commands.command()(uninstall)


def _planned(
    plan: Callable[[Sequence[str]], tuple[ClientChange, ...]], names: Sequence[str] | None
) -> tuple[ClientChange, ...]:
    try:
        return plan(names or [])
    except InvalidRequestError as error:
        fail(str(error), WRONG_REQUEST)


def _change(changes: Sequence[ClientChange], *, ask: bool, dry_run: bool, as_json: bool) -> None:
    """Show the changes and make them; with JSON nothing is asked."""
    told = [_made(change, ask=ask and not as_json, dry_run=dry_run, quiet=as_json) for change in changes]
    if as_json:
        print_json({"clients": told})
    elif not changes:
        print("No client was found. `--client NAME` writes the settings of one all the same.")
    if any(entry["failed"] for entry in told):
        raise typer.Exit(FAILED)


def _made(change: ClientChange, *, ask: bool, dry_run: bool, quiet: bool) -> dict[str, object]:
    """Show a change, make it, and return what happened."""
    outcome, failed = change.note, change.failed
    if not quiet:
        print(f"{change.title} ({change.place}): {change.note}".rstrip())
        print("".join(f"    {line}\n" for line in change.shown.splitlines()), end="")
    if change.make is not None and not dry_run:
        if ask and sys.stdin.isatty() and not typer.confirm("Make this change?", default=True):
            outcome = "left as it is."
        else:
            try:
                outcome = change.make()
            except ConfigError as error:
                outcome, failed = str(error), True
        if not quiet:
            note(outcome) if failed else print(f"    {outcome}")
    return {
        "client": change.client,
        "place": change.place,
        "change": change.shown,
        "outcome": outcome,
        "failed": failed,
    }
