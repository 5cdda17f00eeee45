"""Each place where the package writes a small file, and a disk that has no room for it."""

import resource
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mcp_local_llm.agents.install.config_files import Backups, Written, write_file
from mcp_local_llm.agents.launch import write_files
from mcp_local_llm.agents.order import AgentStart
from mcp_local_llm.bench.reports import ReportFolder
from mcp_local_llm.engines.mlx.prefix.disk_files import PrefixFiles
from mcp_local_llm.files.writing.atomic_write import Previous
from mcp_local_llm.files.writing.journal import Journal, JournalRow
from mcp_local_llm.files.writing.state import StateFolder
from mcp_local_llm.files.writing.versions import keep_version
from mcp_local_llm.models.choice import ChoiceFile
from mcp_local_llm.models.speed import SpeedFile
from mcp_local_llm.setup.settings_edit import SettingsEditor
from mcp_local_llm.values.bench import BenchReport
from mcp_local_llm.values.model import ModelInfo

LONG = 3000
"""Characters of what is written: more than fits."""


def choice(folder: Path, text: str) -> None:
    ChoiceFile(folder / "mlx-mcp" / "active_model").write(text)


def settings(folder: Path, text: str) -> None:
    SettingsEditor(folder / "config.toml", {}).set("model", [text])


def answer(folder: Path, text: str) -> None:
    StateFolder(folder).keep_answer("answer", text)


def version(folder: Path, text: str) -> None:
    keep_version(StateFolder(folder), folder / "x.md", Previous(text.encode(), 0o644, (0, 0), (0, 0, 0, 0)))


def row(folder: Path, text: str) -> None:
    journal = Journal(StateFolder(folder), "key")
    try:
        journal.add(JournalRow("a.txt", "digest", text))
    finally:
        journal.close()


def speeds(folder: Path, text: str) -> None:
    file = SpeedFile(folder / "speeds.json", lambda: "1")
    file.add(ModelInfo(id=text, path=folder, source="folder", weight_bytes=1), 1000, 7.0)
    file.save()


def report(folder: Path, text: str) -> None:
    ReportFolder(folder / "bench").keep(BenchReport(model="m", machine=text, versions="1", when="now"))


def client_settings(folder: Path, text: str) -> None:
    write_file(folder / "mcp.json", text.encode())


def backup(folder: Path, text: str) -> None:
    Backups(folder / "install").keep("cursor", folder / "mcp.json", Written(text.encode(), "hash"))


def agent_files(folder: Path, text: str) -> None:
    write_files(AgentStart((), {}, (), "", {"settings.json": text}), folder)


def prefix(folder: Path, text: str) -> None:
    def save(sink: Any) -> None:
        sink.write(memoryview(text.encode()))

    PrefixFiles(folder, "model", 10**9).write(len(text), save, lambda: False)


WRITES: dict[str, Callable[[Path, str], None]] = {
    "the saved choice": choice,
    "the settings": settings,
    "a long answer": answer,
    "the old version of a file": version,
    "the rows of a call over many files": row,
    "the measured speeds": speeds,
    "the report of a measurement": report,
    "the settings of an agent": client_settings,
    "the copy of an agent's settings": backup,
    "the private files of an agent": agent_files,
    "a prefix": prefix,
}


@contextmanager
def room(size: int) -> Generator[None]:
    """Let no file of this process grow beyond so many bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
