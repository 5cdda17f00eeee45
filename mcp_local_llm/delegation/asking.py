"""Asks the model: one request, with a check and one more try, or many requests side by side."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

import anyio

from mcp_local_llm.delegation.counting import Items, count_in_batches
from mcp_local_llm.delegation.requests import retry_request
from mcp_local_llm.delegation.workplace import Totals
from mcp_local_llm.files.tasks.checks import Checked, CheckName, fault, second_try
from mcp_local_llm.files.writing.drafts import unfinished
from mcp_local_llm.llm.llm import LLM, OnText, collect_result
from mcp_local_llm.values.chat import ChatRequest, ChatResult, Timings, TokenCounts, Usage
from mcp_local_llm.values.errors import BusyError, LocalLLMError
from mcp_local_llm.values.progress import Phase, Progress, ReportProgress

UNKNOWN_PLACES = 4
"""Requests side by side where a server does not say how many it answers together."""

BUSY_WAIT_S = 0.5
"""Seconds between two tries to enter a full queue, once the call has begun."""


Faults = tuple[str, ...]
"""What the checks of an answer found at each try, empty texts for nothing; no entry where nothing was checked."""

Job = Callable[[], Awaitable[ChatResult | None]]
"""Does one piece of work; the tokens of its result count for the speed."""


@dataclass(frozen=True)
class Checks:
    """What an answer is checked for, see `files.tasks.checks`.

    Attributes:
        names: the checks; none are made where it is empty.
        sources: texts that quotes must stand in.
        path: the file that the answer becomes.
    """

    names: tuple[CheckName, ...] = ()
    sources: tuple[str, ...] = ()
    path: PurePath | None = None

    def faults(self, result: ChatResult) -> Faults:
        """Return the first fault of one answer in words, an empty text for none; nothing where nothing is checked."""
        if not self.names or unfinished(result):
            return ()
        return (fault(self.names, Checked(result.text, self.sources, self.path)),)


@dataclass(frozen=True)
class Asker:
    """Sends the requests of one call, and counts with its model.

    Attributes:
        llm: executes them.
        report: receives progress.
        model: the model that the call names.
        totals: takes the speeds.
        on_text: receives the text of an answer that nothing is checked in, while it comes.
    """

    llm: LLM
    report: ReportProgress
    model: str | None
    totals: Totals
    on_text: OnText | None = None

    async def ask(
        self, request: ChatRequest, report: ReportProgress | None = None, on_text: OnText | None = None
    ) -> ChatResult:
        """Return the answer to a request; `on_text` receives its text while it comes. Raises as `LLM.chat`."""
        request = replace(request, stream=on_text is not None)
        result = await collect_result(self.llm.chat(request, report or self.report, model=self.model), on_text)
        self.totals.measure(result)
        return result

    async def count(self, items: Items) -> TokenCounts:
        """Count the tokens of requests and texts, however many. Raises as `LLM.count`."""
        return await count_in_batches(items, lambda batch: self.llm.count(batch, self.report, model=self.model))

    async def ask_checked(
        self, request: ChatRequest, checks: Checks, report: ReportProgress | None = None
    ) -> tuple[ChatResult, Faults]:
        """Return an answer and what its checks found; a fault is named to the model once, for another try."""
        result = await self.ask(request, report, None if checks.names else self.on_text)
        faults = checks.faults(result)
        if not any(faults):
            return result, faults
        result, again = await self.second(request, result, faults[0], report)
        if again is None:
            return result, faults
        return result, (*faults, *(checks.faults(again) or faults))

    async def second(
        self, request: ChatRequest, first: ChatResult, found: str, report: ReportProgress | None = None
    ) -> tuple[ChatResult, ChatResult | None]:
        """Name a fault to the model; return the better answer with the numbers of both, and the second one.

        A second try that fails, because it does not fit or the queue is full, leaves the first answer as it is.
        """
        try:
            again = await self.ask(retry_request(request, first.text, second_try(found)), report)
        except LocalLLMError:
            return first, None
        # A second answer that is worse does not replace the first.
        better = first if unfinished(again) else again
        return added([first, again], better.text, better), again


class Crowd:
    """Runs jobs side by side: as many as the engine answers together, and one that waits for the next place.

    Args:
        total: number of jobs, for the progress.
        places: answers that the engine computes together; None where that is not known.
        phase: name of the jobs in the progress.
        report: receives the progress; a job's own progress passes until the first job is done.
    """

    def __init__(self, total: int, places: int | None, phase: Phase, report: ReportProgress) -> None:
        self._total = total
        self._places = (places or UNKNOWN_PLACES) + 1
        self._phase: Phase = phase
        self._report = report
        self._done = 0
        self._inside = 0
        self._failures: list[Exception] = []
        self._tokens = 0
        self._began = time.monotonic()

    async def run(self, jobs: Sequence[Job]) -> None:
        """Run every job; after the first exception no other begins, and it is raised when those that run have ended.

        Parts without each other are worth nothing, so their jobs are cancelled; answers about files are rows.

        Args:
            jobs: they begin in this order.
        """
        waiting = iter(jobs)

        async def work(scope: anyio.CancelScope) -> None:
            for job in waiting:
                try:
                    result = await self._patient(job)
                except Exception as error:
                    # The edge of one task: a task group would wrap the error, which doors handle by its class.
                    self._failures.append(error)
                    if self._phase == "parts":
                        scope.cancel()
                    return
                if self._failures:
                    return
                self._done += 1
                self._tokens += result.usage.completion_tokens if result else 0
                self._tell()

        async with anyio.create_task_group() as group:
            for _ in range(min(self._places, len(jobs))):
                group.start_soon(work, group.cancel_scope)
        if self._failures:
            raise self._failures[0]

    def inner(self, progress: Progress) -> None:
        """Take the progress of one job."""
        if not self._done:
            self._report(progress)

    async def _patient(self, job: Job) -> ChatResult | None:
        """Run a job; once others are in the queue or answered, a full queue is waited for."""
        while True:
            self._inside += 1
            try:
                return await job()
            except BusyError:
                if self._failures or (not self._done and self._inside == 1):
                    raise
            finally:
                self._inside -= 1
            await anyio.sleep(BUSY_WAIT_S)

    def _tell(self) -> None:
        passed = time.monotonic() - self._began
        left = passed / self._done * (self._total - self._done)
        self._report(Progress(self._phase, self._done, self._total, self._tokens / max(passed, 1e-6), left))


def added(results: Sequence[ChatResult], text: str, last: ChatResult | None = None) -> ChatResult:
    """Add up the numbers of several answers; `last` gives everything that has no sum.

    Args:
        results: at least one.
        text: the text of the sum.
        last: the answer that counts; None for the last one.
    """
    usage = [result.usage for result in results]
    times = [result.timings for result in results]
    return replace(
        last or results[-1],
        text=text,
        usage=Usage(
            sum(one.prompt_tokens for one in usage),
            sum(one.cached_tokens for one in usage),
            sum(one.completion_tokens for one in usage),
            sum(one.reasoning_tokens for one in usage),
        ),
        timings=Timings(
            sum(one.queued_s for one in times),
            sum(one.load_s for one in times),
            sum(one.prefill_s for one in times),
            sum(one.decode_s for one in times),
        ),
        warnings=tuple(dict.fromkeys(warning for result in results for warning in result.warnings)),
    )
