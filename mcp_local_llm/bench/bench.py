"""Runs `bench` for one model after the other, and keeps the reports."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio.to_thread

from mcp_local_llm.bench.options import BenchOptions
from mcp_local_llm.bench.run_code import passes
from mcp_local_llm.bench.speed import SpeedBench
from mcp_local_llm.bench.task_set import CODE, KINDS, BenchTask, tasks_of
from mcp_local_llm.llm.llm import LLM, collect_result
from mcp_local_llm.values.bench import BenchReport, Figure, Score
from mcp_local_llm.values.progress import ReportProgress


@dataclass(frozen=True)
class Bench:
    """Measures models of this machine.

    Attributes:
        machine, versions: for the report.
        clock: seconds, for the tasks.
    """

    machine: str
    versions: str
    clock: Callable[[], float] = time.monotonic

    async def run(self, llm: LLM, model: str, options: BenchOptions, report: ReportProgress) -> BenchReport:
        """Measure one model; it is loaded if it is not resident, and the saved choice stays. Raises as `LLM.chat`."""
        notes: list[str] = []
        figures: tuple[Figure, ...] = ()
        scores: tuple[Score, ...] = ()
        counts = await llm.count(("x",), report, model=model)
        if options.tasks:
            scores = await self._scores(llm, model, options, report)
        else:
            speed = SpeedBench(llm, model, options, report, notes.append)
            figures = await speed.run()
        when = datetime.now(UTC).isoformat(timespec="seconds")
        return BenchReport(
            model=counts.model,
            machine=self.machine,
            versions=self.versions,
            when=when,
            figures=figures,
            scores=scores,
            notes=tuple(notes),
        )

    async def _scores(self, llm: LLM, model: str, options: BenchOptions, report: ReportProgress) -> tuple[Score, ...]:
        known = (*KINDS, *((CODE,) if options.run_code else ()))
        kinds = [kind for kind in known if not options.kinds or kind in options.kinds]
        return tuple([await self._score(llm, model, tasks_of(kind), report) for kind in kinds])

    async def _score(self, llm: LLM, model: str, tasks: Sequence[BenchTask], report: ReportProgress) -> Score:
        right, times = 0, list[float]()
        for task in tasks:
            began = self.clock()
            result = await collect_result(llm.chat(task.request, report, model=model))
            times.append(self.clock() - began)
            if task.tests:
                right += await anyio.to_thread.run_sync(passes, task.code(result.text), task.tests)
            else:
                right += task.right(result.text)
        middle = sorted(times)[len(times) // 2]
        return Score(kind=tasks[0].kind, right=right, total=len(tasks), seconds=round(middle, 3))
