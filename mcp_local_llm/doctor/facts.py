"""The facts of the check-up, and the callables that read them."""

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
from mcp_local_llm.values.endpoint import DetectedServer, Endpoint
from mcp_local_llm.values.machine import Machine
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.results import Status

Planner = Callable[[ModelInfo], LoadPlan]
SpeedLookup = Callable[[ModelInfo], Speed | None]


@dataclass(frozen=True)
class Setup:
    """The settings of the user.

    Attributes:
        file: the settings file.
        settings: the values in force; the defaults where `error` says why the file cannot be read.
        file_mode: its permissions; None where there is no file.
        environ: the environment of this process.
    """

    file: Path
    settings: Settings = field(default_factory=Settings)
    error: str = ""
    file_mode: int | None = None
    environ: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class ClaudeCode:
    """Claude Code on this machine: its program, and the file of its settings that names this server."""

    program: Path | None = None
    configured_in: Path | None = None


@dataclass(frozen=True)
class ClientFacts:
    """A coding agent on this machine, and what its settings start for us.

    Attributes:
        name, title: on the command line and in sentences.
        place: its settings file, or the program that keeps them.
        command: the program and arguments; empty where the settings do not name this server.
        ours: the command starts the executable that runs now.
        fault: why the command does not work; empty where it does.
        error: why the settings cannot be read.
    """

    name: str
    title: str
    place: str
    command: tuple[str, ...] = ()
    ours: bool = False
    fault: str = ""
    error: str = ""


@dataclass(frozen=True)
class InstallationFacts:
    """The facts that are read from this machine, without a request to any server.

    Attributes:
        versions: of Python and of the packages that engines need; None for one that is not installed.
        gpu: whether this machine has a GPU that MLX supports.
        llama_server: the program that runs GGUF models.
        folder_warnings: one sentence for each folder of the settings that is none.
        log: the log file, and why it cannot be written; empty where it can.
    """

    versions: Mapping[str, str | None]
    machine: Machine
    gpu: bool
    registry: Registry
    models: tuple[ModelInfo, ...]
    llama_server: Path | None
    claude: ClaudeCode
    folder_warnings: tuple[str, ...] = ()
    log: tuple[Path, str] = (Path(), "")


@dataclass(frozen=True)
class FactSources:
    """The callables that read the facts.

    Attributes:
        installation: reads files and programs; it blocks, so it runs on a thread.
        saved: reads the saved choice.
        chosen: resolves the model that a chat would use now.
        plan: reads memory once; returns the function that plans the load of a model.
        measured: reads the measured speeds once; returns the function that looks one up.
        lease: is inspected and never taken.
        owner_status: requests the status of the lease owner.
        listed: requests the models of an endpoint of the settings.
        servers: detects the servers on the ports of this machine.
        import_engine: imports mlx and mlx-lm in another process; returns why that fails, empty where it works.
        clients: reads the settings of the coding agents, and tries the commands that they start.
    """

    setup: Setup
    installation: Callable[[], InstallationFacts]
    saved: Callable[[], str | None]
    chosen: Callable[[], Awaitable[Resolution]]
    plan: Callable[[], Planner]
    measured: Callable[[], SpeedLookup]
    lease: Lease
    owner_status: Callable[[], Awaitable[Status]]
    listed: Callable[[Endpoint], Awaitable[tuple[str, ...]]]
    servers: Callable[[], Awaitable[tuple[DetectedServer, ...]]]
    import_engine: Callable[[], Awaitable[str]]
    clients: Callable[[], Awaitable[tuple[ClientFacts, ...]]]


@dataclass(frozen=True)
class ChoiceFacts:
    """The saved choice, the model that it means and a note on it; or the error that says why it means none."""

    saved: str | None = None
    model: ModelInfo | None = None
    note: str = ""
    error: str = ""


@dataclass(frozen=True)
class LeaseFacts:
    """The runtime folder, its fault, and the lease owner; `silent` is the error of an owner that does not answer."""

    folder: Path
    fault: str = ""
    pid: int | None = None
    version: str = ""
    status: Status | None = None
    silent: str = ""


@dataclass(frozen=True)
class EndpointFacts:
    """An endpoint of the settings and the models that it lists, or its error; `absent` where it cannot be reached."""

    endpoint: Endpoint
    models: tuple[str, ...] = ()
    error: str = ""
    absent: bool = False


@dataclass(frozen=True)
class Facts:
    """All facts; `import_fault` says why mlx or mlx-lm cannot be imported."""

    setup: Setup
    installation: InstallationFacts
    choice: ChoiceFacts
    lease: LeaseFacts
    plan: Planner
    measured: SpeedLookup
    endpoints: tuple[EndpointFacts, ...] = ()
    servers: tuple[DetectedServer, ...] = ()
    import_fault: str = ""
    clients: tuple[ClientFacts, ...] = ()


Verdict = Literal["ok", "note", "problem"]
"""`note`: worth knowing, and nothing needs to be done; `problem`: the user must act."""


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        name: of the subject, one or two words.
        text: what was found, one line.
        advice: what to do, possibly several lines of a file; empty where there is nothing to do.
    """

    name: str
    verdict: Verdict
    text: str
    advice: str = ""


@dataclass(frozen=True)
class Examination:
    """The findings, and the function that writes the report with all facts."""

    findings: tuple[Finding, ...]
    bundle: Callable[[], str]


def has_problems(findings: Iterable[Finding]) -> bool:
    """Return whether a finding needs the user."""
    return any(finding.verdict == "problem" for finding in findings)
