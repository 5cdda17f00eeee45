"""Chooses the model of a request, and loads models into memory. It must not know requests or protocols."""

from collections.abc import Callable

import anyio
import anyio.to_thread

from mcp_local_llm.llm.llm import Caller
from mcp_local_llm.models.catalog import Catalog
from mcp_local_llm.models.resolve import Resolution
from mcp_local_llm.residency import Resident
from mcp_local_llm.values.endpoint import shown_url
from mcp_local_llm.values.errors import ConfigError, FileAccessError, ModelLoadError
from mcp_local_llm.values.machine import Machine
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.progress import ReportProgress
from mcp_local_llm.values.results import Switch

CHOICE_S = 1.0
"""Seconds that the status waits for the file of the choice."""


class ModelLoading:
    """The way from a name to a model in memory."""

    def __init__(
        self, catalog: Catalog, resident: Resident, machine: Callable[[], Machine], clock: Callable[[], float]
    ) -> None:
        self._catalog = catalog
        self._resident = resident
        self._machine = machine
        self._clock = clock
        self._saving = anyio.Lock()

    async def wanted(self, model: str | None, caller: Caller) -> Resolution:
        """Return the model that a request is meant for. Raises as `Catalog.named`."""
        resident = self._resident.state().model
        if model:
            wanted = await self._catalog.named(model, resident, caller.model)
        else:
            wanted = await self._catalog.chosen(caller.model, resident)
        return wanted

    async def require_room(self, model: ModelInfo) -> None:
        """Refuse a model that does not fit, before another model is unloaded."""
        resident = self._resident.state().model
        if not is_resident(model, resident):
            await self._catalog.require_room(model, resident)

    async def switch(self, wanted: Resolution, report: ReportProgress) -> Switch:
        """Load a model where it is not resident. Raises as `Resident.use`; a failed load says what works instead."""
        before, model = self._resident.state().model, wanted.model
        await self.require_room(model)
        started = self._clock()
        try:
            async with self._resident.use(model, report):
                pass
        except ModelLoadError as error:
            way_back = await anyio.to_thread.run_sync(self._way_back, before, abandon_on_cancel=True)
            raise ModelLoadError(f"{error}{way_back}") from error
        loaded = not is_resident(model, before)
        previous = before.id if before and loaded and not model.endpoint else None
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

    async def save(self, choice: str) -> None:
        """Save the choice, one after the other. Raises as `Catalog.save`; its disk holds nothing else up."""
        async with self._saving:
            await anyio.to_thread.run_sync(self._catalog.save, choice, abandon_on_cancel=True)

    async def saved(self) -> tuple[str | None, tuple[str, ...]]:
        """Return the saved choice, and a sentence where it cannot be read now."""
        try:
            with anyio.fail_after(CHOICE_S):
                return await anyio.to_thread.run_sync(self._catalog.saved, abandon_on_cancel=True), ()
        except ConfigError as error:
            return None, (str(error),)
        except TimeoutError:
            return None, ("The saved choice cannot be read now: its disk does not answer.",)

    def _way_back(self, before: ModelInfo | None) -> str:
        """Return the sentence that says how to load a working model after a failed load."""
        try:
            choice = self._catalog.saved()
        except ConfigError:
            choice = None  # The message must be about the failed load.
        if choice:
            return f' The choice is still {choice}; set_model("{choice}") loads it.'
        return f' set_model("{before.id}") loads the model that was resident before.' if before else ""


def require_own_machine(model: ModelInfo) -> None:
    """Refuse text of files for a server elsewhere, unless its settings allow that.

    Raises:
        FileAccessError: names the endpoint and the setting.
    """
    endpoint = model.endpoint
    if endpoint is not None and not endpoint.takes_files:
        raise FileAccessError(
            f"{model.id} runs on another machine ({shown_url(endpoint.url)}), and files stay on this one. Choose a "
            f"local model, or allow it: `files = true` below the endpoint {endpoint.name!r} in the settings.",
            "private",
        )


def is_resident(model: ModelInfo, resident: ModelInfo | None) -> bool:
    """Whether the resident model serves requests for `model`."""
    return resident is not None and resident.serves(model)
