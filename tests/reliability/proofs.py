"""Tests that are proofs: a fault, what is promised, and how often it was tried.

A test with the marker `fault` says what it does to the program and what is promised. `make test-faults` tries it once.
With `--prove FOLDER` it is tried as often as its marker says, and each group of faults becomes a file in the folder; of
these `tests.reliability.page` makes `docs/reliability.md`. Other proofs, such as a soak, put a `Table` of their own
there.

    @pytest.mark.fault("Signals", "SIGKILL while the holder {phase}", promised="the next call is answered", tries=20)
    @pytest.mark.parametrize("phase", ["loads", "answers"])
    def test_...(phase: str, attempt: int) -> None: ...

A test that takes `attempt` runs once for each of its tries and gets their number, from 0. One that takes `tries` gets
how often it has to try by itself. One that knows only afterwards says `record_property("tries", count)`.
"""

import json
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

PROVE = "--prove"
AT_MOST = "--at-most"
LIST = "--list-faults"
TRIES = 20
"""How often a fault is tried in a proof, where its marker says nothing else."""
FEW = 2
"""How often a test that tries by itself does so in any other run."""


@dataclass(frozen=True)
class Table:
    """A section of the page: its title, a paragraph, the head of its table, and the rows."""

    title: str
    text: str
    columns: tuple[str, ...]
    rows: list[list[str]]

    def path(self, folder: Path) -> Path:
        name = re.sub(r"\W+", "-", self.title.lower()).strip("-")
        return folder / f"{name}.json"

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path(folder).write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")


@dataclass(frozen=True)
class Fault:
    """What a test with the marker tells of itself."""

    group: str
    what: str
    promised: str
    tries: int = TRIES


@dataclass
class Outcome:
    """How the tries of one fault ended."""

    tries: int = 0
    failed: int = 0

    def lost(self) -> str:
        return f"**{self.failed}**" if self.failed else "nothing"


@dataclass(eq=False)
class Proofs:
    """The outcomes of one run, by fault."""

    folder: Path
    outcomes: dict[Fault, Outcome] = field(default_factory=dict[Fault, Outcome])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        told = cast(dict[str, Any], dict(report.user_properties))
        if "fault" not in told or report.skipped or (report.when != "call" and report.passed):
            return
        outcome = self.outcomes.setdefault(Fault(**told["fault"]), Outcome())
        outcome.tries += int(told.get("tries", 1))
        outcome.failed += report.failed

    def pytest_sessionfinish(self) -> None:
        """Write a table for each group; what an earlier run of other faults has written stays."""
        for group in {fault.group for fault in self.outcomes}:
            table = Table(group, "", ("what happens", "what is promised", "tried", "lost"), [])
            path = table.path(self.folder)
            earlier: list[list[str]] = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
            rows = {row[0]: row for row in earlier} | {
                fault.what: [fault.what, fault.promised, f"{outcome.tries:,}", outcome.lost()]
                for fault, outcome in self.outcomes.items()
                if fault.group == group
            }
            replace(table, rows=sorted(rows.values())).save(self.folder)


def fault_of(item: pytest.Item) -> Fault | None:
    """Return what the marker of a test says, with the names of its parameters filled in."""
    marker = item.get_closest_marker("fault")
    if marker is None:
        return None
    callspec: Any = getattr(item, "callspec", None)
    values: dict[str, object] = callspec.params if callspec else {}
    fault = Fault(*marker.args, **marker.kwargs)
    return Fault(fault.group, fault.what.format(**values), fault.promised.format(**values), fault.tries)


def _tries(config: pytest.Config, fault: Fault) -> int:
    """Return how often a proof tries a fault."""
    most: int | None = config.getoption(AT_MOST)
    return fault.tries if most is None else min(most, fault.tries)


@pytest.fixture
def tries(request: pytest.FixtureRequest) -> int:
    """How often the test has to try."""
    fault = fault_of(request.node)
    assert fault
    count = _tries(request.config, fault) if request.config.getoption(PROVE) else min(FEW, fault.tries)
    request.node.user_properties.append(("tries", count))
    return count


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of a proof."""
    parser.addoption(PROVE, type=Path, metavar="FOLDER", help="try each fault as often as it says; write the outcomes")
    parser.addoption(AT_MOST, type=int, metavar="TRIES", help="in a proof, try no fault more often than this")
    parser.addoption(LIST, type=Path, metavar="FILE", help="write the faults of the collected tests into a file")


def pytest_configure(config: pytest.Config) -> None:
    """Listen to the outcomes, in the process that hears of all of them."""
    folder: Path | None = config.getoption(PROVE)
    if folder and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Proofs(folder))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each of its tries."""
    if "attempt" in metafunc.fixturenames:
        (marker,) = metafunc.definition.iter_markers("fault")
        proving = metafunc.config.getoption(PROVE)
        count = _tries(metafunc.config, Fault(*marker.args, **marker.kwargs)) if proving else 1
        metafunc.parametrize("attempt", range(count))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Write down the faults of the collected tests, where asked."""
    path: Path | None = config.getoption(LIST)
    if path:
        faults = {fault for item in items if (fault := fault_of(item))}
        path.write_text(json.dumps([asdict(fault) for fault in faults]), encoding="utf-8")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let the report of a test say which fault it was."""
    fault = fault_of(item)
    if fault:
        item.user_properties.append(("fault", asdict(fault)))
