"""Prints results: answers on stdout, notes about them on stderr."""

import sys

import typer
from rich.console import Console
from rich.table import Table

from mcp_local_llm.delegation.task import FileAnswer
from mcp_local_llm.doors import results_text
from mcp_local_llm.doors.cli import run
from mcp_local_llm.values.chat import ChatResult
from mcp_local_llm.values.results import Download, ModelTable, QuickTest, Status, Switch
from mcp_local_llm.wire.json_values import encodable

PIPE_WIDTH = 240
"""Columns where the output is no terminal: lines stay whole for grep."""
HOW_TO_CHOOSE = "choose with `mcp-local-llm use NAME`"
NOTE_WORDING = results_text.NoteWording(
    longer="with a larger --max-tokens",
    no_thinking="Call again with --no-thinking",
    higher_temperature="use a profile with a higher temperature",
)


def show_models(table: ModelTable) -> None:
    """Print the numbered table, folded to the width of the terminal."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for title in results_text.TABLE_HEADER:
        grid.add_column(title, justify="right" if title == "#" else "left", overflow="fold")
    for row in table.models:
        grid.add_row(*results_text.cells(row), style="" if row.fits else "dim")
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    Console(width=width, highlight=False, markup=False).print(grid)
    _print(results_text.table_notes(table, HOW_TO_CHOOSE))


def show_chat(result: ChatResult) -> None:
    """Print the answer on stdout, and warnings and notes on stderr."""
    print(encodable(result.text))
    note = results_text.note(result, NOTE_WORDING)
    for line in (*result.warnings, *([note] if note else [])):
        run.note(line)


def show_files(answer: FileAnswer) -> None:
    """Print the model's words on stdout, and this program's on stderr."""
    if answer.body:
        print(encodable(answer.body))
    said = results_text.note(answer.result, NOTE_WORDING) if answer.single else ""
    for line in filter(None, (*answer.result.warnings, answer.head, said)):
        run.note(line)
    if answer.failed:
        raise typer.Exit(run.FAILED)


def show_switch(switch: Switch) -> None:
    """Print the chosen model, and what its load took."""
    _print(results_text.switch_text(switch))


def show_download(download: Download) -> None:
    """Print the folder of a downloaded model."""
    _print(results_text.download_text(download))


def show_test(test: QuickTest) -> None:
    """Print the verdict and the answer."""
    print(results_text.quick_test_text(test))


def show_status(status: Status) -> None:
    """Print the state of the model, the choice and the memory."""
    _print(results_text.status_text(status))


def _print(text: str) -> None:
    """Print what the program itself says; this door has no MCP tools."""
    print(results_text.without_tools(text))
