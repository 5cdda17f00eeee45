"""What the check-up looks at: where each fact comes from, and all of them once they are read."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mcp_local_llm.models.fit import LoadPlan
from mcp_local_llm.models.resolve import Resolution
from mcp_local_llm.models.roles import Registry
from mcp_local_llm.models.speed import Speed
from mcp_local_llm.residency import Lease
from mcp_local_llm.setup.settings import Settings
from mcp_local_llm.values.endpoint import Endpoint, Sighting
from mcp_local_llm.values.machine import Machine
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.results import Status

Planner = Callable[[ModelInfo], LoadPlan]
Measured = Callable[[ModelInfo], Speed | None]


@dataclass(frozen=True)
class Setup:
    """What the user set.

    Attributes:
        file: where the settings are read from.
        settings: in force; the defaults where `error` says why they cannot be read.
        in_file: the keys that the file holds.
        file_mode: its permissions; None where there is no file.
        environ: the environment of this process.
    """

    file: Path
    settings: Settings = field(default_factory=Settings)
    error: str = ""
    in_file: frozenset[str] = frozenset()
    file_mode: int | None = None
    environ: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Claude:
    """Claude Code on this machine: its program, and whether a file of its settings names this server."""

    program: Path | None = None
    knows: Path | None = None


@dataclass(frozen=True)
class Surveyed:
    """What is read from the machine itself.

    Attributes:
        versions: of Python and the packages that matter; None for one that is not installed.
        gpu: whether MLX can have a GPU here.
        llama_server: the program that runs GGUF models.
    """

    versions: Mapping[str, str | None]
    machine: Machine
    gpu: bool
    registry: Registry
    models: tuple[ModelInfo, ...]
    llama_server: Path | None
    claude: Claude


@dataclass(frozen=True)
class Sources:
    """Where the facts come from.

    Attributes:
        survey: reads files and programs; takes its time, so it runs on a thread.
        saved: the saved choice as it stands in its file.
        chosen: the model that a chat would use now.
        plan: memory read once → whether a model will ever fit.
        measured: the speeds of this machine, read once.
        lease: only looked at, never taken.
        holder: lets the process that holds the model tell how it stands.
        listed: asks an endpoint of the settings for its models.
        sightings: the servers on the ports of this machine.
        import_engine: imports mlx and mlx-lm elsewhere; returns why that fails, empty where it works.
    """

    setup: Setup
    survey: Callable[[], Surveyed]
    saved: Callable[[], str | None]
    chosen: Callable[[], Awaitable[Resolution]]
    plan: Callable[[], Planner]
    measured: Callable[[], Measured]
    lease: Lease
    holder: Callable[[], Awaitable[Status]]
    listed: Callable[[Endpoint], Awaitable[tuple[str, ...]]]
    sightings: Callable[[], Awaitable[tuple[Sighting, ...]]]
    import_engine: Callable[[], Awaitable[str]]


@dataclass(frozen=True)
class Choice:
    """The choice: what is saved, which model that means, and a note on it; or why it means none."""

    saved: str | None = None
    model: ModelInfo | None = None
    note: str = ""
    error: str = ""


@dataclass(frozen=True)
class Tenancy:
    """The runtime folder, what is wrong with it, and the process that holds the model; `silent` if it says nothing."""

    folder: Path
    fault: str = ""
    pid: int | None = None
    version: str = ""
    report: Status | None = None
    silent: str = ""


@dataclass(frozen=True)
class Reached:
    """An endpoint of the settings and what it listed; or why it did not, and whether only the user can help."""

    endpoint: Endpoint
    models: tuple[str, ...] = ()
    error: str = ""
    absent: bool = False


@dataclass(frozen=True)
class Facts:
    """Everything that was read; `import_fault` says why mlx or mlx-lm cannot be imported."""

    setup: Setup
    surveyed: Surveyed
    choice: Choice
    tenancy: Tenancy
    plan: Planner
    measured: Measured
    reached: tuple[Reached, ...] = ()
    sightings: tuple[Sighting, ...] = ()
    import_fault: str = ""


Verdict = Literal["ok", "note", "problem"]
"""`note`: worth knowing, works without you; `problem`: needs you."""


@dataclass(frozen=True)
class Finding:
    """One thing.

    Attributes:
        name: what it is about, one or two words.
        text: what was found, one line.
        advice: what to do; it may be several lines, e.g. of a file. Empty where there is nothing to do.
    """

    name: str
    verdict: Verdict
    text: str
    advice: str = ""


def wrong(findings: Iterable[Finding]) -> bool:
    """Say whether anything needs the user."""
    return any(finding.verdict == "problem" for finding in findings)
