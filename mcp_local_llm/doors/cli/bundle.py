"""Shows the report of the check-up, and writes it into a file for an issue once the user has agreed."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import typer

from mcp_local_llm.doors.cli.run import FAILED, WRONG_REQUEST, fail, note
from mcp_local_llm.doors.cli.terminal import harmless

PRIVATE = 0o600


def bundle_path(file: Path | None, *, yes: bool) -> Path:
    """Return the path of the new file; ends the command where it cannot be made, or where nobody can be asked."""
    path = file or Path(f"mcp-local-llm-{datetime.now(UTC).strftime('%Y%m%d-%H%M%S')}.txt")
    if os.path.lexists(path):
        fail(f"{path} exists already, and nothing is written over it. Name another file.", WRONG_REQUEST)
    if not path.parent.is_dir():
        fail(f"{path.parent} is no folder. Name a file in one that exists.", WRONG_REQUEST)
    if not yes and not (sys.stdin.isatty() and sys.stdout.isatty()):
        fail("The report is shown before it is written, and nobody can be asked here: add --yes.", WRONG_REQUEST)
    return path


def save_bundle(text: str, path: Path, *, yes: bool) -> None:
    """Show the report, ask, and write it for this user alone; ends the command where it cannot be written."""
    print(harmless(text), end="", flush=True)
    if not yes and not typer.confirm(f"Write this into {path}?", default=False, err=True):
        note("nothing was written")
        raise typer.Exit(FAILED)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}.", FAILED)
    note(f"the report is in {path.absolute()}, and was sent to nobody")
