"""`bench` as a user calls it, on the built-in model; the same command on a real model is in tests/real."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from mcp_local_llm.bench.reports import ReportFolder
from mcp_local_llm.bench.run_code import network_closed, passes
from mcp_local_llm.bench.task_set import CODE, KINDS, BenchTask, tasks_of
from mcp_local_llm.values.bench import BenchReport, Figure
from tests.clients import WAIT_S

RIGHT: Mapping[str, list[str]] = {
    "commit-message": [
        "Return zero for an empty list in average",
        "Raise the timeout to 60 seconds",
        "Describe the installation in the README",
        "Remove the old cache",
    ],
    "docstring": [
        "Clamp value between low and high.",
        "Retry action. attempts: how often. wait_s: seconds.",
        "Merge override into base, up to depth.",
        "Yield windows of items of a size, step apart.",
    ],
    "translate": [
        "Hallo {name}, Sie haben %d neue Nachrichten.",
        "Führen Sie `make test` aus, bevor Sie einen Pull Request öffnen.",
        "<b>Warnung:</b> Die Datei {path} wird in {days} Tagen gelöscht.",
        "Preis: {amount} {currency}. Der Rabatt von %s endet heute.",
    ],
}
FIXED = [
    "```python\ndef last(items, count):\n    return items[-count:] if count else []\n```",
    "def is_leap(year):\n    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)",
    "def words(text):\n    from collections import Counter\n    return dict(Counter(text.lower().split()))",
    "def flatten(items):\n    return sum((flatten(i) if isinstance(i, list) else [i] for i in items), [])",
]


def run(environ: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mcp_local_llm", "bench", *arguments]
    return subprocess.run(
        command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT_S
    )


def kept(home: Path) -> ReportFolder:
    return ReportFolder(home / ".local" / "state" / "mcp-local-llm" / "bench")


@pytest.mark.slow
def test_speed_is_measured_kept_drawn_and_told_by_list_models(environ: dict[str, str], home: Path) -> None:
    chart = home / "speed.svg"
    done = run(environ, "tiny", "--rounds", "1", "--prompt", "128", "--json", "--chart", str(chart))
    assert done.returncode == 0, done.stderr
    (report,) = json.loads(done.stdout)["reports"]
    figures = {figure["name"]: figure for figure in report["figures"]}
    assert {"short answer", "long answer", "prompt of 128 tokens"} <= figures.keys()
    assert {"1 at once", "2 at once", "4 at once", "8 at once", "memory"} <= figures.keys()
    assert all(value > 0 for figure in figures.values() for value in figure["values"])
    assert figures["short answer"]["note"] == ""
    cold, again = figures["first token, new prompt"], figures["first token, same prompt again"]
    assert again["values"][0] < cold["values"][0]
    assert "Token indices" not in done.stderr
    assert chart.read_text().startswith("<?xml")
    (again_read,) = kept(home).load("tiny")
    assert again_read.model == "tiny"


@pytest.mark.slow
def test_tasks_are_scored_by_kind_and_the_scores_are_kept(environ: dict[str, str], home: Path) -> None:
    done = run(environ, "tiny", "--tasks")
    assert done.returncode == 0, done.stderr
    for kind in KINDS:
        assert kind in done.stdout
    assert CODE not in done.stdout
    (report,) = kept(home).load("tiny")
    assert [score.total for score in report.scores] == [len(tasks_of(kind)) for kind in KINDS]


def report_of(model: str, *values: float) -> BenchReport:
    figure = Figure(name="short answer", unit="tok/s", values=values)
    return BenchReport(model=model, machine="M", versions="V", when="2026-01-01T00:00:00+00:00", figures=(figure,))


def test_kept_reports_are_compared_side_by_side(environ: dict[str, str], home: Path) -> None:
    for report in (report_of("acme/a-4b", 10, 11, 12), report_of("acme/b-8b", 5)):
        kept(home).keep(report)
    done = run(environ, "--compare", "a-4b", "acme/b-8b")
    assert done.returncode == 0, done.stderr
    head, row, _ = done.stdout.splitlines()
    assert head.split() == ["measured", "acme/a-4b", "acme/b-8b"]
    assert row.split() == ["short", "answer,", "tok/s", "11.0", "(10.0", "to", "12.0)", "5.00"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--compare", "a"), "two or more"),
        (("--compare", "a", "b"), "There is no report of 'a'. Reports: none"),
        (("--run-code",), "belongs to --tasks"),
        (("--task", "extract"), "belongs to --tasks"),
        (("--tasks", "--task", "poetry"), "poetry"),
        (("--tasks", "--task", "fix-code"), "add --run-code"),
        (("no-such-model",), "no-such-model"),
        (("--chart", "speed.txt"), "A chart is written as .png or .svg"),
        (("--chart", "/no-such-folder/speed.svg"), "/no-such-folder is no folder"),
        (("--chart", "speed.svg", "--tasks"), "--tasks measures none"),
    ],
)
def test_a_wrong_call_is_refused_with_what_to_do(
    environ: dict[str, str], arguments: tuple[str, ...], words: str
) -> None:
    done = run(environ, *arguments)
    assert done.returncode == 2
    assert words in done.stderr


def test_what_was_measured_is_kept_though_a_later_model_fails(environ: dict[str, str], home: Path) -> None:
    done = run(environ, "tiny", "no-such-model", "--tasks", "--task", "extract")
    assert done.returncode == 2
    assert "no-such-model" in done.stderr
    assert [report.model for report in kept(home).load("tiny")] == ["tiny"]


def graded() -> list[tuple[BenchTask, str]]:
    pairs = [
        (task, answer) for kind, answers in RIGHT.items() for task, answer in zip(tasks_of(kind), answers, strict=True)
    ]
    return pairs + [(task, json.dumps(task.expected)) for kind in KINDS[:2] for task in tasks_of(kind)]


@pytest.mark.parametrize(("task", "answer"), graded())
def test_a_right_answer_counts_and_a_wrong_one_does_not(task: BenchTask, answer: str) -> None:
    assert task.right(answer)
    assert not task.right("")
    assert not task.right(f"Sure! Here is what I found:\n\n{task.text}" if task.kind != "docstring" else "It works.")


def test_a_repaired_function_passes_its_tests_and_a_broken_one_does_not() -> None:
    for task, answer in zip(tasks_of(CODE), FIXED, strict=True):
        assert passes(task.code(answer), task.tests)
        assert not passes(task.text, task.tests)


@pytest.mark.parametrize(
    "code",
    [
        "import sys\nsys.exit(0)",
        "import os\nos._exit(0)",
        "print('0' * 32)\nraise SystemExit",
        "def f(:",
        "while True: pass",
        "x = bytearray(8 * 2**30)",
        "with open('left', 'w') as file:\n    file.write('x' * 10)",
        "import os\nassert os.environ.get('HOME') or os.environ.get('PATH')",
    ],
)
def test_code_that_cheats_or_does_more_than_it_should_does_not_pass(code: str) -> None:
    assert not passes(code, "")


def test_code_reaches_no_server_where_the_system_can_close_the_network() -> None:
    if not network_closed():
        pytest.skip("This system cannot close the network for a process; the command asks.")
    assert not passes(
        "import socket\nsocket.create_server(('127.0.0.1', 0)); socket.create_connection(('127.0.0.1', 22))", ""
    )
