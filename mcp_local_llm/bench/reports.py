"""Keeps reports of this machine in the state folder, one file for each model and kind of measurement."""

import re
from pathlib import Path

from pydantic import ValidationError

from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.setup.replaced_file import replace_file
from mcp_local_llm.values.bench import BenchReport
from mcp_local_llm.values.errors import ConfigError, InvalidRequestError

MAX_BYTES = 2**20


class ReportFolder:
    """The folder of the reports; the newest one of a model replaces the one before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, report: BenchReport) -> Path:
        """Write a report; return its file.

        Raises:
            ConfigError: it cannot be written.
        """
        path = self._folder / f"{_slug(report.model)}{'.tasks' if report.scores else ''}.json"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(path, f"{report.model_dump_json(indent=1)}\n".encode())
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be written: {error.strerror}. The report was printed all the same."
            ) from error
        return path

    def load(self, name: str) -> tuple[BenchReport, ...]:
        """Return the reports of a model, or that of a file.

        Raises:
            InvalidRequestError: there is none; names those that are there.
        """
        if Path(name).suffix == ".json" and Path(name).exists():
            return (self._read(Path(name)),)
        there = [self._read(path) for path in sorted(self._folder.glob("*.json"))]
        wanted = _slug(name)
        found = [report for report in there if _slug(report.model) == wanted]
        found = found or [report for report in there if wanted in _slug(report.model)]
        if len({report.model for report in found}) != 1:
            names = ", ".join(dict.fromkeys(report.model for report in there)) or "none; `bench MODEL` makes one"
            problem = "There is no report" if not found else "Several models have a report"
            raise InvalidRequestError(f"{problem} of {name!r}. Reports: {names}.")
        return tuple(found)

    def _read(self, path: Path) -> BenchReport:
        try:
            return BenchReport.model_validate_json(read_regular(path, MAX_BYTES))
        except (OSError, ValidationError) as error:
            raise InvalidRequestError(f"{path} is no report of bench. Remove it, and measure again.") from error


def _slug(model: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", model.lower()).strip("-")
