"""Prints results on stdout: as text for people, or as JSON for programs."""

import json
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import typer
from pydantic import BaseModel

from mcp_local_llm.doors import results_text
from mcp_local_llm.doors.cli.terminal import PIPE_WIDTH, columns, harmless, is_terminal, new_console
from mcp_local_llm.values.model import human_bytes
from mcp_local_llm.values.results import ModelRow, ModelTable, Status
from mcp_local_llm.wire.json_values import encodable

HOW_TO_CHOOSE = "choose with `mcp-local-llm use NAME`"
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

GAP = 2
"""Columns between two cells of a table."""

_Result = TypeVar("_Result", bound=BaseModel)


def print_json(value: object, *, indent: int | None = 1) -> None:
    """Print a value as JSON, on one line without `indent`."""
    print(encodable(json.dumps(value, indent=indent, ensure_ascii=False)))


def print_result(result: BaseModel, *, indent: int | None = 1) -> None:
    """Print a result as JSON, on one line without `indent`."""
    print_json(result.model_dump(mode="json"), indent=indent)


def shown(as_json: bool, text: Callable[[_Result], str]) -> Callable[[_Result], None]:
    """Return the function that prints a result: as JSON, or as `text` writes it."""
    return print_result if as_json else lambda result: print_text(text(result))


def print_text(text: str) -> None:
    """Print what the program itself says, folded where there is a width; this door has no MCP tools."""
    width = columns()
    for line in harmless(results_text.without_tools(text)).split("\n"):
        print(line if width == PIPE_WIDTH or len(line) <= width else _folded(line, width))


def show_models(table: ModelTable) -> None:
    """Print the numbered table, and below it what needs whole sentences."""
    rows = [_cells(row) for row in table.models]
    if rows:
        print_table(("#", "model", "size", "quantization", "context", "fits", "speed"), rows, beside=1)
        print()
    width = columns()
    for row in table.models:
        words = row.good_for if row.fits else f"{row.fit}. {row.good_for}"
        print(_folded(f"{row.number}  {words}", width, indent=len(f"{row.number}") + GAP))
    print_text(results_text.table_notes(table, HOW_TO_CHOOSE) if rows else "No models were found.")


def show_running(status: Status) -> None:
    """Print what is resident as a table of one row."""
    if status.model is None:
        print_text("Nothing is resident.")
    else:
        calls = f"{status.calls_running} running, {status.waiting} waiting"
        held = "?" if status.engine_bytes is None else human_bytes(status.engine_bytes)
        rate = "" if status.tokens_per_second is None else f"{status.tokens_per_second:.0f} tok/s"
        state = status.progress or status.state
        row = (status.model, state, held, str(status.holder_pid or status.pid), str(status.clients), calls, rate)
        print_table(("model", "state", "memory", "process", "sessions", "calls", "speed"), [row], beside=0)
    for line in status.notes:
        print_text(line)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, beside: int) -> None:
    """Print a table that fits: where it is too wide, the other cells go below the cell in column `beside`.

    Args:
        header: the names of the columns.
        rows: a text for each column.
        beside: the column of names, which are never cut or folded.
    """
    width = columns()
    clean = [[harmless(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[number]) for row in clean) for number in range(len(header))]
    if sum(widths) + GAP * (len(widths) - 1) <= width:
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in clean]
    else:
        lines = [line for row in clean for line in _stacked(row, widths, beside, width)]
    if is_terminal(sys.stdout):
        new_console(width=max([width, *map(len, lines)])).print(lines[0], style="bold", soft_wrap=True)
    else:
        print(lines[0])
    for line in lines[1:]:
        print(line)


def clear_screen() -> None:
    """Clear a terminal before it is written anew."""
    if is_terminal(sys.stdout):
        sys.stdout.write("\x1b[H\x1b[2J")


def _stacked(row: Sequence[str], widths: Sequence[int], beside: int, width: int) -> list[str]:
    """Return one row as a line with the name, and the other cells on lines of their own below it."""
    ahead = "".join(cell.ljust(space + GAP) for cell, space in zip(row[:beside], widths[:beside], strict=True))
    rest = zip(row[beside + 1 :], widths[beside + 1 :], strict=True)
    below = "  ".join(cell.ljust(space) for cell, space in rest).rstrip()
    indent = " " * (len(ahead) or GAP)
    if len(indent) + len(below) > width:
        below = ", ".join(filter(None, row[beside + 1 :]))
    return [f"{ahead}{row[beside]}", *textwrap.wrap(below, width, initial_indent=indent, subsequent_indent=indent)]


def _folded(line: str, width: int, indent: int = 0) -> str:
    """Fold a line at words; a path or an address stays whole."""
    return textwrap.fill(
        harmless(line), width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )


def _cells(row: ModelRow) -> tuple[str, ...]:
    """Return one model's cells; sentences go below the table."""
    number, name, size, quantization, context, _, speed, _ = results_text.cells(row)
    fits = "yes" if row.fits else "no"
    return number, name, size, quantization, context, fits, speed
