"""Reports of the core as text for a terminal."""

import sys

from rich.console import Console
from rich.table import Table

from mcp_local_llm.values.chat import ChatResult
from mcp_local_llm.values.model import human_bytes, human_count
from mcp_local_llm.values.results import Download, ModelRow, ModelTable, QuickTest, Status, Switch

PIPE_WIDTH = 240
"""Columns where the output is no terminal: lines stay whole for grep."""


def show_models(table: ModelTable) -> None:
    """Print the numbered table."""
    terminal = sys.stdout.isatty()
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("#", "model", "size", "quantization", "context", "fits", "speed", "good for"):
        grid.add_column(title, justify="right" if title == "#" else "left", overflow="fold")
    for row in table.models:
        grid.add_row(*_cells(row), style="" if row.fits else "dim")
    Console(width=None if terminal else PIPE_WIDTH, highlight=False, markup=False).print(grid)
    print(f"chosen: {table.chosen or 'none yet; choose with `mcp-local-llm use NAME`'}")
    for profile in table.profiles:
        sets = f" ({profile.sets})" if profile.sets else ""
        print(f"profile {profile.name}: {profile.model}{sets}{', chosen' if profile.chosen else ''}")
    for warning in table.warnings:
        print(warning)


def show_chat(result: ChatResult) -> None:
    """Print the answer alone; what is to be known about it goes to stderr."""
    print(result.text)
    notes = [*result.warnings]
    if result.finish_reason == "length":
        notes.append(f"cut off after {result.usage.completion_tokens} tokens; a larger --max-tokens gives more.")
    for note in notes:
        print(f"mcp-local-llm: {note}", file=sys.stderr)


def show_switch(switch: Switch) -> None:
    """Print what is chosen now, and what the load took."""
    if switch.endpoint:
        print(f"{switch.model} is the choice; calls go to {switch.endpoint}.")
    else:
        print(f"{switch.model} is the choice; {human_bytes(switch.size_bytes or 0)} loaded in {switch.seconds:.1f} s.")
    for line in switch.notes:
        print(line)


def show_download(download: Download) -> None:
    """Print where the model lies."""
    print(f"{download.model} ({human_bytes(download.size_bytes)}) is in {download.path}")
    for line in download.notes:
        print(line)


def show_test(test: QuickTest) -> None:
    """Print the verdict, then the answer it is about."""
    rate = "" if test.tokens_per_second is None else f", {test.tokens_per_second:.0f} tok/s"
    print(f"{test.test}: {'passed' if test.passed else 'failed'}. {test.verdict}")
    print(f"{test.model}, {test.completion_tokens} tokens in {test.seconds:.2f} s{rate}")
    print(f"question: {test.prompt}\nanswer: {test.answer}")
    for call in test.tool_calls:
        print(f"tool call: {call}")


def show_status(status: Status) -> None:
    """Print what the process that holds the model tells, the choice and the memory."""
    if status.holder_pid is not None:
        model = f" {status.model}" if status.model else ""
        progress = f" ({status.progress})" if status.progress else ""
        print(f"{status.state}{model}{progress}, {status.calls_running} running, {status.waiting} waiting")
        print(f"held by process {status.holder_pid}; other sessions attached to it: {status.clients}")
    print(f"choice: {status.chosen or 'none saved'}")
    if status.memory_total_bytes is not None and status.memory_available_bytes is not None:
        available, total = human_bytes(status.memory_available_bytes), human_bytes(status.memory_total_bytes)
        print(f"memory: {available} available of {total}")
    for line in status.notes:
        print(line)
    print(f"mcp-local-llm {status.version}")


def _cells(row: ModelRow) -> tuple[str, ...]:
    marks = [*(["resident"] if row.resident else []), *(["chosen"] if row.chosen else []), *row.roles]
    size = "?" if row.size_bytes is None else human_bytes(row.size_bytes)
    size += f", {human_count(row.parameters)}" if row.parameters else ""
    return (
        str(row.number),
        f"{row.name} ({', '.join(marks)})" if marks else row.name,
        size,
        row.quantization or "none",
        "?" if row.context_length is None else f"{row.context_length / 1024:.3g}k",
        row.fit,
        row.speed,
        row.good_for,
    )
