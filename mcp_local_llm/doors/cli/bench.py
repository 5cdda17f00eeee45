"""The command `bench`: measures models, prints a table, JSON or a chart, and compares reports."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from mcp_local_llm.bench.bench import Bench
from mcp_local_llm.bench.options import BenchOptions
from mcp_local_llm.bench.reports import ReportFolder
from mcp_local_llm.bench.run_code import network_closed
from mcp_local_llm.bench.task_set import CODE, KINDS
from mcp_local_llm.doors.cli.run import WRONG_REQUEST, OpenLLM, Parts, fail, note, perform_on_files, telling_failures
from mcp_local_llm.values.bench import BenchReport, rounded
from mcp_local_llm.values.errors import ConfigError, InvalidRequestError
from mcp_local_llm.values.progress import ReportProgress

MISSING = "-"
ALL_KINDS = (*KINDS, CODE)


@dataclass(frozen=True)
class BenchParts:
    """Measures, and keeps reports."""

    bench: Bench
    reports: ReportFolder


def add_bench_command(commands: typer.Typer, open_llm: OpenLLM, parts: Callable[[], BenchParts]) -> None:
    """Add `bench`."""

    def bench(
        models: Annotated[
            list[str] | None, typer.Argument(help="Models; without one, the one that chat would use.")
        ] = None,
        rounds: Annotated[int, typer.Option(min=1, max=20, help="Rounds of each figure.")] = 3,
        prompt: Annotated[
            list[int] | None,
            typer.Option(min=64, help="Tokens of a prompt to read, instead of 512, 2048 and the largest."),
        ] = None,
        full: Annotated[bool, typer.Option("--full", help="Also prompts that take longer than three minutes.")] = False,
        tasks: Annotated[bool, typer.Option("--tasks", help="Score small tasks instead of measuring speed.")] = False,
        task: Annotated[
            list[str] | None,
            typer.Option(help=f"With --tasks: only this kind ({', '.join(ALL_KINDS)}); may be repeated."),
        ] = None,
        run_code: Annotated[
            bool, typer.Option("--run-code", help="With --tasks: run the model's repaired functions with their tests.")
        ] = False,
        yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before code runs with network.")] = False,
        compare: Annotated[bool, typer.Option("--compare", help="Compare kept reports of two or more models.")] = False,
        chart: Annotated[Path | None, typer.Option(help="Draw the speeds into this .png or .svg file.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print the reports as JSON.")] = False,
    ) -> None:
        """Measure models on this machine: speed, time to the first token, calls side by side, memory; or tasks."""
        names = models or []
        if run_code and not tasks:
            fail("--run-code belongs to --tasks.", WRONG_REQUEST)
        if task and not tasks:
            fail("--task belongs to --tasks.", WRONG_REQUEST)
        if wrong := [kind for kind in task or [] if kind not in ALL_KINDS]:
            fail(f"There is no kind {wrong[0]!r} of tasks. Kinds: {', '.join(ALL_KINDS)}.", WRONG_REQUEST)
        if task == [CODE] and not run_code:
            fail(f"{CODE} runs the model's code: add --run-code.", WRONG_REQUEST)
        if compare and len(names) < 2:
            fail("--compare takes two or more models that were measured before.", WRONG_REQUEST)
        if chart is not None:
            _require_drawable(chart, tasks=tasks)
        made = parts()
        if compare:
            reports = _kept(made.reports, names)
        else:
            if run_code:
                _allow_code(yes=yes)
            options = BenchOptions(rounds, tuple(prompt or ()), full, tasks, run_code, tuple(task or ()))
            reports = _measured(open_llm, made, names, options)
        _show(reports, as_json=as_json)
        if chart is not None:
            _draw(reports, chart)

    commands.command()(bench)


def _kept(folder: ReportFolder, names: Sequence[str]) -> list[BenchReport]:
    with telling_failures():
        return [report for name in names for report in folder.load(name)]


def _measured(open_llm: OpenLLM, made: BenchParts, names: Sequence[str], options: BenchOptions) -> list[BenchReport]:
    reports: list[BenchReport] = []

    async def measure(opened: Parts, report: ReportProgress) -> None:
        for name in names or [await _chosen(opened)]:
            measured = await made.bench.run(opened.llm, name, options, report)
            reports.append(measured)

    try:
        perform_on_files(open_llm, measure, lambda _: None)
    finally:
        # Also where a later model fails, or Ctrl-C ends it.
        for report in reports:
            try:
                note(f"kept in {made.reports.keep(report)}")
            except ConfigError as error:
                note(str(error))
    return reports


async def _chosen(opened: Parts) -> str:
    table = await opened.llm.list_models()
    if table.chosen is None:
        raise InvalidRequestError("No model is chosen. Name one: mcp-local-llm bench MODEL.")
    return table.chosen


def _allow_code(*, yes: bool) -> None:
    """Ask before code of a model runs with network.

    Raises:
        typer.Exit: the user does not want that.
    """
    if yes or network_closed():
        return
    note("this system cannot close the network for the code that a model writes; it runs as you, with your network.")
    if not sys.stdin.isatty():
        fail("Add --yes to run it all the same.", WRONG_REQUEST)
    if not typer.confirm("Run it?", default=False):
        raise typer.Exit(0)


def _require_drawable(path: Path, *, tasks: bool) -> None:
    # Imported here: only a chart needs it.
    from mcp_local_llm.bench.chart import require_drawable

    if tasks:
        fail("--chart draws speeds, and --tasks measures none.", WRONG_REQUEST)
    try:
        require_drawable(path)
    except ConfigError as error:
        fail(str(error), WRONG_REQUEST)


def _draw(reports: Sequence[BenchReport], path: Path) -> None:
    # Imported here: only a chart needs it.
    from mcp_local_llm.bench.chart import draw

    try:
        draw(reports, path)
    except ConfigError as error:
        fail(str(error), WRONG_REQUEST)
    note(f"{path} is written.")


def _show(reports: Sequence[BenchReport], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"reports": [report.model_dump(mode="json") for report in reports]}, indent=1))
        return
    timed = [report for report in reports if report.figures]
    scored = [report for report in reports if report.scores]
    if timed:
        _table(("measured", *(report.model for report in timed)), _speed_rows(timed))
    if scored:
        _table(("tasks done right", *(report.model for report in scored)), _score_rows(scored))
    for report in reports:
        starred = (f"* {figure.name}: {figure.note}." for figure in report.figures if figure.note)
        for line in (*starred, *report.notes):
            print(f"{report.model}: {line}")
    for line in dict.fromkeys(f"{report.machine}; {report.versions}" for report in reports):
        print(line)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for number, title in enumerate(header):
        grid.add_column(title, justify="right" if number else "left", overflow="fold")
    for row in rows:
        grid.add_row(*row)
    Console(highlight=False, markup=False).print(grid)


def _speed_rows(reports: Sequence[BenchReport]) -> list[list[str]]:
    names = dict.fromkeys(figure.name for report in reports for figure in report.figures)
    return [[_titled(name, reports), *(_cell(report, name) for report in reports)] for name in names]


def _titled(name: str, reports: Sequence[BenchReport]) -> str:
    unit = next(figure.unit for report in reports if (figure := report.figure(name)))
    return f"{name}, {unit}"


def _cell(report: BenchReport, name: str) -> str:
    figure = report.figure(name)
    if figure is None:
        return MISSING
    spread = f" ({figure.spread})" if figure.spread else ""
    return f"{rounded(figure.median)}{spread}{' *' if figure.note else ''}"


def _score_rows(reports: Sequence[BenchReport]) -> list[list[str]]:
    kinds = dict.fromkeys(score.kind for report in reports for score in report.scores)
    return [[kind, *(_score(report, kind) for report in reports)] for kind in kinds]


def _score(report: BenchReport, kind: str) -> str:
    score = next((one for one in report.scores if one.kind == kind), None)
    return MISSING if score is None else f"{score.right} of {score.total}, {rounded(score.seconds)} s each"
