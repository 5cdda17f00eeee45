"""The commands `install` and `uninstall`: show the change of each client's settings, ask, and make it."""

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Protocol

import typer

from mcp_local_llm.doors.cli.run import FAILED, WRONG_REQUEST, fail, note
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

    def install(client: Clients = None, dry_run: DryRun = False, yes: Yes = False) -> None:
        """Write this server into the settings of the coding agents on this machine; shows each change first."""
        _change(settings().install, client or [], ask=not yes, dry_run=dry_run)

    def uninstall(client: Clients = None, dry_run: DryRun = False, yes: Yes = False) -> None:
        """Take this server out of the settings of the coding agents; what `install` changed becomes what it was."""
        _change(settings().uninstall, client or [], ask=not yes, dry_run=dry_run)

    commands.command()(install)
    commands.command()(uninstall)


def _change(
    plan: Callable[[Sequence[str]], tuple[ClientChange, ...]], names: Sequence[str], *, ask: bool, dry_run: bool
) -> None:
    try:
        changes = plan(names)
    except InvalidRequestError as error:
        fail(str(error), WRONG_REQUEST)
    if not changes:
        print("No client was found. `--client NAME` writes the settings of one all the same.")
    failed = [change for change in changes if not _show_and_make(change, ask=ask, dry_run=dry_run)]
    if failed:
        raise typer.Exit(FAILED)


def _show_and_make(change: ClientChange, *, ask: bool, dry_run: bool) -> bool:
    """Show a change and make it; return False where it failed."""
    if change.make is None:
        print(f"{change.title} ({change.place}): {change.note}")
        return not change.failed
    print(f"{change.title} ({change.place}):")
    print("\n".join(f"    {line}" for line in change.shown.splitlines()))
    if dry_run:
        return True
    if ask and sys.stdin.isatty() and not typer.confirm("Make this change?", default=True):
        print("    left as it is.")
        return True
    try:
        print(f"    {change.make()}")
    except ConfigError as error:
        note(str(error))
        return False
    return True
