"""The five verbs: chat, set_model, quick_test, list_models, status.

Everything that a door offers goes through `LocalLLM`. It knows the catalogue, the resident model and memory; it knows
no protocol and no engine by name.
"""

import dataclasses
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import anyio.to_thread

from mcp_local_llm.budget import estimate_speed
from mcp_local_llm.catalog import Catalog
from mcp_local_llm.chat import ChatRequest, ChatResult, SamplingParams
from mcp_local_llm.downloads import Downloads
from mcp_local_llm.engine import ChatChunk, ReportProgress
from mcp_local_llm.errors import ConfigError, GenerationError, HolderGoneError, LocalLLMError, ModelLoadError
from mcp_local_llm.machine import Machine
from mcp_local_llm.model import ModelInfo
from mcp_local_llm.profiles import filled
from mcp_local_llm.quick_test import question
from mcp_local_llm.reports import Download, ModelRow, ModelTable, QuickTest, QuickTestName, Status, Switch
from mcp_local_llm.request_log import request_line
from mcp_local_llm.residency import Resident
from mcp_local_llm.resolve import Resolution
from mcp_local_llm.rows import listed_row, profile_rows
from mcp_local_llm.sharing import Alone, Sharing, Sight, own_status, with_holder
from mcp_local_llm.speeds import SpeedFile
from mcp_local_llm.suggestions import Suggestions
from mcp_local_llm.tally import Counts, Tally, rate_of


class LocalLLM:
    """One local model for everyone who asks."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        resident: Resident,
        downloads: Downloads,
        speeds: SpeedFile,
        machine: Callable[[], Machine],
        sampling: SamplingParams | None = None,
        sharing: Sharing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._resident = resident
        self._downloads = downloads
        self._speeds = speeds
        self._suggestions = Suggestions(catalog)
        self._machine = machine
        self._sampling = sampling or SamplingParams()
        self._sharing = sharing or Alone()
        self._clock = clock
        self._started = clock()
        self._tally = Tally()

    async def chat(self, request: ChatRequest, report: ReportProgress, *, model: str | None = None) -> ChatResult:
        """Answer `request` with the chosen model, or with the one that `model` names (the saved choice stays).

        Raises:
            ModelError: the model is not there, is not one, does not fit or does not load.
            InvalidRequestError, ContextLengthError, BusyError, GenerationError: from the engine.
        """
        async with aclosing(self.stream(request, report, model=model)) as chunks:
            *_, result = [chunk.result async for chunk in chunks if chunk.result is not None]
        return result

    async def stream(
        self, request: ChatRequest, report: ReportProgress, *, model: str | None = None
    ) -> AsyncGenerator[ChatChunk]:
        """Answer like `chat`, chunk by chunk; the result is the last one. Closing the iterator stops the generation.

        Raises:
            LocalLLMError: as `chat`.
        """
        with self._tally.call(), request_line(self._clock) as line:
            while True:
                held = self._resident.state().model
                wanted = await (self._catalog.named(model, held) if model else self._catalog.chosen(held))
                line.model = wanted.model.id
                await self._require_room(wanted.model)
                asked = filled(request, wanted, self._catalog.profiles, self._sampling)
                try:
                    async with aclosing(self._answer(asked, wanted, report)) as chunks:
                        async for chunk in chunks:
                            line.result = chunk.result
                            yield chunk
                    return
                except HolderGoneError:
                    # Nothing was begun, so nothing is computed twice: the next round finds who holds the model now.
                    pass

    async def _answer(
        self, request: ChatRequest, wanted: Resolution, report: ReportProgress
    ) -> AsyncGenerator[ChatChunk]:
        """Let the resident engine answer, and note what that tells of it."""
        asked, result, alone = self._clock(), None, False
        async with self._resident.use(wanted.model, report) as engine:
            entered = self._clock()
            alone = self._resident.state().calls == 1
            async with aclosing(engine.stream(request)) as chunks:
                async for chunk in chunks:
                    if chunk.progress is not None:
                        report(chunk.progress)
                    if chunk.result is None:
                        yield chunk
                    result = chunk.result
            alone = alone and self._resident.state().calls == 1
        if result is None:
            raise GenerationError("The engine ended without an answer. Send the request again.")
        self._tally.answered(result)
        # Calls that run side by side share the machine; their speed is not the model's. Another holder measures it.
        measured = alone and wanted.model.endpoint is None and not self._sharing.elsewhere()
        rate = rate_of(result) if measured else None
        if rate and self._speeds.note(engine.model, result.usage.completion_tokens, rate):
            await anyio.to_thread.run_sync(self._speeds.save)
        timings = dataclasses.replace(result.timings, load_s=entered - asked)
        warnings = (*((wanted.note,) if wanted.note else ()), *result.warnings)
        yield ChatChunk(result=dataclasses.replace(result, timings=timings, warnings=warnings))

    async def set_model(self, name: str, report: ReportProgress, *, download: bool = False) -> Switch:
        """Make the model that `name` means resident, as `load` does, and save it as the choice.

        With `download`, a whole repository name (or a role that stands for one) is fetched from the hub if it is not
        here; the old model stays resident and answers meanwhile. Where the load fails the saved choice stays.

        Raises:
            DownloadError, BackendError: it could not be fetched.
            ConfigError: the choice could not be saved.
            ModelError: see `load`.
        """
        held = self._resident.state().model
        if not download:
            found, notes = await self._catalog.named(name, held), list[str]()
        else:
            obtained = await self._downloads.obtain(name, report, held=held, to_load=True)
            found, notes = obtained.found, [obtained.note]
        switch = await self._switch(found, report)
        self._catalog.save(found.choice)
        return switch.model_copy(update={"notes": [*switch.notes, *notes]})

    async def load(self, name: str, report: ReportProgress) -> Switch:
        """Make the model that `name` means resident; the saved choice stays as it is.

        Memory is checked before anything is unloaded. Calls that run on the old model finish first; calls that come
        later wait for the new one. Two calls for one model share one load; calls for several are served in the order
        in which they came. Where the load fails nothing is resident.

        Raises:
            UnknownModelError, AmbiguousModelError, IncompleteModelError: what `name` means.
            InsufficientMemoryError: it does not fit; nothing was unloaded.
            ModelLoadError: it could not be loaded; the message names the way back.
        """
        return await self._switch(await self._catalog.named(name, self._resident.state().model), report)

    async def download(self, name: str, report: ReportProgress) -> Download:
        """Bring the model that `name` means onto this machine; loads nothing, and the choice stays.

        Raises:
            LocalLLMError: see `Downloads.obtain`.
        """
        obtained = await self._downloads.obtain(name, report, held=self._resident.state().model)
        model, note = obtained.found.model, obtained.found.note
        return Download(
            model=model.id,
            size_bytes=model.weight_bytes,
            fetched_bytes=obtained.fetched_bytes,
            seconds=round(obtained.seconds, 3),
            path=str(model.path),
            notes=[*([note] if note else []), obtained.note],
        )

    async def complete(self, typed: str) -> tuple[str, ...]:
        """Return the names and roles that `typed` may become; cheap enough for every key that is pressed."""
        return await self._suggestions.names(typed)

    async def candidates(self, name: str) -> tuple[str, ...]:
        """Return the models between which `name` leaves the choice; empty where it leaves none."""
        return await self._suggestions.candidates(name, self._resident.state().model)

    async def quick_test(self, name: QuickTestName, report: ReportProgress) -> QuickTest:
        """Ask the chosen model one scripted question; a wrong answer is a verdict, not an error.

        Raises:
            LocalLLMError: as `chat`.
        """
        asked = question(name)
        started = self._clock()
        result = await self.chat(asked.request(), report)
        return asked.judged(name, result, round(self._clock() - started, 3))

    async def list_models(self) -> ModelTable:
        """List every model on the machine; loads nothing."""
        listing = await self._catalog.look()
        warnings = list(listing.warnings)
        try:
            choice = await self._catalog.chosen()
        except LocalLLMError as error:
            chosen, name = None, ""
            warnings.append(str(error).partition("\n")[0])
        else:
            chosen, name = choice.model.id, choice.profile
            warnings += [choice.note] if choice.note else []
        held = self._resident.state().model
        plan, bandwidth = self._catalog.planner(held), self._machine().bandwidth
        measured = await anyio.to_thread.run_sync(self._speeds.measured, abandon_on_cancel=True)
        rows: list[ModelRow] = []
        for number, model in enumerate(listing.models, start=1):
            speed = measured(model) or estimate_speed(model, bandwidth)
            row = listed_row(number, plan(model), speed, resident=_same(model, held))
            roles = [role for role, name in listing.roles.items() if name == model.id]
            rows.append(row.model_copy(update={"roles": roles, "chosen": model.id == chosen}))
        profiles = profile_rows(self._catalog.profiles, chosen=name)
        return ModelTable(models=rows, chosen=chosen, profiles=profiles, warnings=warnings)

    def status(self) -> Status:
        """Tell how things stand, at once: nothing here waits for a model, a lock or the network."""
        notes = [*self._catalog.setting_warnings]
        try:
            saved = self._catalog.saved()
        except ConfigError as error:
            saved, notes = None, [*notes, str(error)]
        if saved and (endpoint := self._catalog.endpoint(saved)):
            notes.append(f"Calls go to {endpoint.url}; nothing is resident here for them.")
        sight = Sight(
            now=self._resident.state(),
            counts=self._tally.counts(),
            memory=self._machine().memory,
            chosen=saved,
            uptime_s=self._clock() - self._started,
            notes=notes,
        )
        return own_status(sight, self._sharing)

    async def shared_status(self) -> Status:
        """Tell how things stand on this machine: like `status`, with the word of the process that holds the model."""
        return await with_holder(self.status(), self._sharing)

    def counts(self) -> Counts:
        """Return what was asked and answered since the start; never waits."""
        loads = self._resident.loads
        return dataclasses.replace(self._tally.counts(), loads=loads.count, load_s=loads.seconds)

    async def _require_room(self, model: ModelInfo) -> None:
        """Refuse a model that does not fit, before anything is unloaded for it; another holder sees to it itself."""
        held = self._resident.state().model
        if not _same(model, held) and not self._sharing.elsewhere():
            await self._catalog.require_room(model, held)

    async def _switch(self, wanted: Resolution, report: ReportProgress) -> Switch:
        before, model = self._resident.state().model, wanted.model
        await self._require_room(model)
        started = self._clock()
        try:
            # Another session may have changed the model since this one attached.
            told = await self._sharing.settle(model, report)
            async with self._resident.use(model, report):
                pass
        except ModelLoadError as error:
            if self._sharing.elsewhere():
                raise  # The holder has said the way back already.
            raise ModelLoadError(f"{error}{self._way_back(before)}") from error
        loaded = told.loaded if told else not _same(model, before)
        previous = told.previous if told else before.id if before and loaded and not model.endpoint else None
        return Switch(
            model=model.id,
            previous=previous,
            loaded=loaded,
            seconds=round(self._clock() - started, 3),
            size_bytes=None if model.endpoint else model.weight_bytes,
            endpoint=model.endpoint.url if model.endpoint else None,
            available_bytes=self._machine().memory.available,
            notes=[wanted.note] if wanted.note else [],
        )

    def _way_back(self, before: ModelInfo | None) -> str:
        """Say after a failed load how to get a working model again."""
        try:
            choice = self._catalog.saved()
        except ConfigError:
            choice = None  # The failed load is what the caller must hear of.
        if choice:
            return f' The choice is still {choice}; set_model("{choice}") loads it.'
        return f' set_model("{before.id}") loads the model that was resident before.' if before else ""


def _same(model: ModelInfo, held: ModelInfo | None) -> bool:
    return held is not None and held.serves(model)
