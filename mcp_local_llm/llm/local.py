"""Executes the verbs with the model in this process, which owns the lease or does not share.

It knows the catalogue, the resident model and memory; it must not know protocols, the lease or a certain engine.
"""

import dataclasses
import os
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, contextmanager

import anyio.to_thread

from mcp_local_llm import __version__
from mcp_local_llm.llm.counters import CallCounters
from mcp_local_llm.llm.listing import model_row, profile_rows
from mcp_local_llm.llm.llm import Caller, collect_result
from mcp_local_llm.llm.loading import ModelLoading, is_resident, require_own_machine
from mcp_local_llm.llm.quick_test import question
from mcp_local_llm.llm.request_log import request_line
from mcp_local_llm.llm.request_schemas import SchemaCheck
from mcp_local_llm.models.catalog import Catalog, NameCompletion
from mcp_local_llm.models.downloads import Downloads
from mcp_local_llm.models.profiles import complete_request
from mcp_local_llm.models.resolve import Resolution, model_of_role, require_template
from mcp_local_llm.models.speed import SpeedFile, estimate_speed
from mcp_local_llm.residency import Resident
from mcp_local_llm.setup.log import last_failures
from mcp_local_llm.values.chat import ChatChunk, ChatRequest, ChatResult, TokenCounts
from mcp_local_llm.values.errors import BusyError, GenerationError, LocalLLMError
from mcp_local_llm.values.machine import Machine
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.progress import ReportProgress
from mcp_local_llm.values.results import (
    Counts,
    Download,
    ModelRow,
    ModelTable,
    QuickTest,
    QuickTestName,
    Status,
    Switch,
    computed_tokens,
    prefill_rate_of,
    rate_of,
)


class Local:
    """The verbs in this process; see `llm.llm.LLM` for what each of them does and raises."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        resident: Resident,
        downloads: Downloads,
        speeds: SpeedFile,
        prefill_speeds: SpeedFile,
        machine: Callable[[], Machine],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._resident = resident
        self._downloads = downloads
        self._speeds = speeds
        self._prefill_speeds = prefill_speeds
        self._completion = NameCompletion(catalog)
        self._machine = machine
        self._clock = clock
        self._started = clock()
        self._counters = CallCounters()
        self._users = Counter[str]()
        self._schemas = SchemaCheck()
        self._loading = ModelLoading(catalog, resident, machine, clock)

    async def chat(
        self, request: ChatRequest, report: ReportProgress, *, model: str | None = None, caller: Caller | None = None
    ) -> AsyncGenerator[ChatChunk]:
        """Answer `request`, chunk by chunk; see `LLM.chat`."""
        caller = caller or Caller()
        client = request.client or caller.client
        with self._counters.call(), self._used_by(client), request_line(self._clock) as line:
            # Checked before a model is loaded, since no engine can answer a request with a broken schema.
            if request.callable_tools or request.response_schema is not None:
                await anyio.to_thread.run_sync(self._schemas.check, request, abandon_on_cancel=True)
            wanted = await self._loading.wanted(model, caller)
            line.model = wanted.model.id
            if request.prompt is None:
                require_template(wanted.model)
            if request.holds_files:
                require_own_machine(wanted.model)
            await self._loading.require_room(wanted.model)
            completed = complete_request(request, wanted, self._catalog.profiles, caller.sampling)
            async with aclosing(self._answer(dataclasses.replace(completed, client=client), wanted, report)) as chunks:
                async for chunk in chunks:
                    line.result = chunk.result
                    yield dataclasses.replace(chunk, model=wanted.model.id)

    async def _answer(
        self, request: ChatRequest, wanted: Resolution, report: ReportProgress
    ) -> AsyncGenerator[ChatChunk]:
        """Answer with the resident engine, and record counts and speed."""
        requested, result, alone = self._clock(), None, False
        async with self._resident.use(wanted.model, report) as engine:
            entered = self._clock()
            alone = self._resident.state().calls == 1
            async with aclosing(engine.stream(request)) as chunks:
                async for chunk in chunks:
                    if chunk.progress is not None:
                        report(chunk.progress)
                    if chunk.text or chunk.reasoning:
                        yield chunk
                    result = chunk.result
            alone = alone and self._resident.state().calls == 1
        if result is None:
            raise GenerationError("The engine ended without an answer. Send the request again.")
        self._counters.collect_result(result)
        # Concurrent calls share the machine, so their speed is not the model's.
        if alone and wanted.model.endpoint is None:
            await self._keep_speeds(engine.model, result)
        timings = dataclasses.replace(result.timings, load_s=entered - requested)
        warnings = (*((wanted.note,) if wanted.note else ()), *result.warnings)
        yield ChatChunk(result=dataclasses.replace(result, timings=timings, warnings=warnings))

    async def _keep_speeds(self, model: ModelInfo, result: ChatResult) -> None:
        """Add the measurements of an answer that ran alone."""
        for file, tokens, rate in (
            (self._speeds, result.usage.completion_tokens, rate_of(result)),
            (self._prefill_speeds, computed_tokens(result), prefill_rate_of(result)),
        ):
            if rate and file.add(model, tokens, rate):
                await anyio.to_thread.run_sync(file.save)

    async def count(
        self,
        items: tuple[ChatRequest | str, ...],
        report: ReportProgress,
        *,
        model: str | None = None,
        caller: Caller | None = None,
    ) -> TokenCounts:
        """Count tokens; see `LLM.count`."""
        caller = caller or Caller()
        with self._used_by(caller.client):
            wanted = await self._loading.wanted(model, caller)
            requests = [item for item in items if not isinstance(item, str)]
            if any(request.prompt is None for request in requests):
                require_template(wanted.model)
            if any(request.holds_files for request in requests):
                require_own_machine(wanted.model)
            await self._loading.require_room(wanted.model)
            profiles = self._catalog.profiles
            completed = [
                item if isinstance(item, str) else complete_request(item, wanted, profiles, caller.sampling)
                for item in items
            ]
            async with self._resident.use(wanted.model, report) as engine:
                return await engine.count(completed)

    async def set_model(self, name: str, report: ReportProgress, *, download: bool = False) -> Switch:
        """Load the model and save the choice; see `LLM.set_model`."""
        resident = self._resident.state().model
        if not download:
            found, notes = await self._catalog.named(name, resident), list[str]()
        else:
            outcome = await self._downloads.download(name, report, resident=resident, to_load=True)
            found, notes = outcome.found, [outcome.note]
        require_template(found.model)
        switch = await self._loading.switch(found, report)
        await self._loading.save(found.choice)
        return switch.model_copy(update={"notes": [*switch.notes, *notes]})

    async def preload(self, report: ReportProgress, caller: Caller, model: str | None = None) -> None:
        """Load `model`, or the one that a chat without a name would use; the saved choice stays. Raises as `chat`."""
        chosen = self._catalog.named(model, None, caller.model) if model else self._catalog.chosen(caller.model)
        wanted = await chosen
        if wanted.model.endpoint is None:
            await self._loading.switch(wanted, report)

    async def download(self, name: str, report: ReportProgress) -> Download:
        """Download the model that `name` means; see `LLM.download`."""
        outcome = await self._downloads.download(name, report, resident=self._resident.state().model)
        model, note = outcome.found.model, outcome.found.note
        return Download(
            model=model.id,
            size_bytes=model.weight_bytes,
            fetched_bytes=outcome.fetched_bytes,
            seconds=round(outcome.seconds, 3),
            path=str(model.path),
            notes=[*([note] if note else []), outcome.note],
        )

    async def complete(self, typed: str) -> tuple[str, ...]:
        """Return the completions of `typed`; see `LLM.complete`."""
        return await self._completion.names(typed)

    async def candidates(self, name: str) -> tuple[str, ...]:
        """Return the models that an ambiguous `name` may mean; see `LLM.candidates`."""
        return await self._completion.candidates(name, self._resident.state().model)

    async def quick_test(
        self, test: QuickTestName, report: ReportProgress, *, caller: Caller | None = None
    ) -> QuickTest:
        """Send one scripted question; see `LLM.quick_test`."""
        scripted = question(test)
        started = self._clock()
        result = await collect_result(self.chat(scripted.request(), report, caller=caller))
        return scripted.judged(test, result, round(self._clock() - started, 3))

    async def list_models(self, *, caller: Caller | None = None) -> ModelTable:
        """List every model on the machine; loads nothing."""
        listing = await self._catalog.listing()
        warnings = list(listing.warnings)
        try:
            choice = await self._catalog.chosen(caller.model if caller else None)
        except LocalLLMError as error:
            chosen, name = None, ""
            warnings.append(str(error).partition("\n")[0])
        else:
            chosen, name = choice.model.id, choice.profile
            warnings += [choice.note] if choice.note else []
        resident = self._resident.state().model
        plan, bandwidth = self._catalog.planner(resident), self._machine().bandwidth
        measured = await anyio.to_thread.run_sync(self._speeds.measured, abandon_on_cancel=True)
        prefill = await anyio.to_thread.run_sync(self._prefill_speeds.measured, abandon_on_cancel=True)
        by_role = {role: model_of_role(name, listing.models) for role, name in listing.roles.items() if name}
        rows: list[ModelRow] = []
        for number, model in enumerate(listing.models, start=1):
            speed = measured(model) or estimate_speed(model, bandwidth)
            row = model_row(number, plan(model), speed, prefill(model), resident=is_resident(model, resident))
            roles = [role for role, meant in by_role.items() if meant is model]
            rows.append(row.model_copy(update={"roles": roles, "chosen": model.id == chosen}))
        profiles = profile_rows(self._catalog.profiles, chosen=name)
        return ModelTable(models=rows, chosen=chosen, profiles=profiles, warnings=warnings)

    async def status(self) -> Status:
        """Return the state of the model and of the calls in this process, at once."""
        saved, trouble = await self._loading.saved()
        notes = [*self._catalog.setting_warnings, *trouble]
        if saved and (endpoint := self._catalog.endpoint(saved)):
            notes.append(f"Calls go to {endpoint.url}; nothing is resident here for them.")
        now, counts, memory = self._resident.state(), self._counters.counts(), self._machine().memory
        notes += [now.fault] if now.fault else []
        running = now.calls - now.waiting
        return Status(
            state=now.state,
            model=now.model.id if now.model else None,
            progress=str(now.progress) if now.progress else None,
            chosen=saved,
            calls_running=running,
            # A change of model uses the model for a moment without a call.
            waiting=max(counts.open - running, 0),
            calls_answered=counts.answered,
            completion_tokens=counts.completion_tokens,
            tokens_per_second=counts.tokens_per_second,
            last_error=now.last_error,
            memory_total_bytes=memory.total,
            memory_available_bytes=memory.available,
            engine_bytes=now.memory.active_bytes + now.memory.buffer_bytes if now.memory else None,
            prefix_cache_bytes=now.memory.prefix_bytes if now.memory else None,
            pid=os.getpid(),
            uptime_seconds=round(self._clock() - self._started, 3),
            version=__version__,
            failures=[*last_failures()],
            notes=notes,
        )

    async def counters(self) -> Counts:
        """Return the counts of calls and tokens since the start, at once."""
        loads = self._resident.loads
        return dataclasses.replace(self._counters.counts(), loads=loads.count, load_s=loads.seconds)

    async def unload(self, report: ReportProgress, *, force: bool = False) -> Status:
        """Unload the model; see `LLM.unload`."""
        if self._users and not force:
            users = ", ".join(f"{name or 'unknown'} ({count})" for name, count in sorted(self._users.items()))
            raise BusyError(f"Calls use the model: {users}. Wait for them, or force it: then they end with an error.")
        await self._resident.unload(force=force)
        return await self.status()

    def is_unloaded(self) -> bool:
        """Return whether no model is resident, being loaded, or kept by an engine that hangs; never waits."""
        now = self._resident.state()
        return now.state == "unloaded" and now.fault is None

    @contextmanager
    def _used_by(self, client: str) -> Generator[None]:
        self._users[client] += 1
        try:
            yield
        finally:
            self._users[client] -= 1
            if not self._users[client]:
                del self._users[client]
