"""The catalogue: the models of this machine and of endpoints, their roles, and the chosen model.

It reads files, registry, settings and the saved choice, and calls pure functions with them. It must not know engines or
protocols.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import anyio.to_thread

from mcp_local_llm.models.choice import ChoiceFile
from mcp_local_llm.models.find import folder_warnings
from mcp_local_llm.models.fit import LoadPlan, plan_load, require_fit
from mcp_local_llm.models.profiles import profile_named, with_profile
from mcp_local_llm.models.resolve import Resolution, ordered, resolve
from mcp_local_llm.models.roles import Registry, absent_models
from mcp_local_llm.setup.settings import Settings
from mcp_local_llm.values.endpoint import Endpoint, endpoint_of, unconfigured_endpoints
from mcp_local_llm.values.errors import AmbiguousModelError, LocalLLMError, UnknownModelError
from mcp_local_llm.values.machine import Memory
from mcp_local_llm.values.model import FoundModels, ModelInfo, Serving, endpoint_model
from mcp_local_llm.values.profile import Profile

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Listing:
    """The models, roles and warnings at one moment.

    Attributes:
        models: in the order of their numbers.
        roles: role → id, None for a role without a model.
        warnings: one sentence for each entry that was ignored.
    """

    models: tuple[ModelInfo, ...]
    roles: Mapping[str, str | None]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _LocalFiles:
    """The models and the registry in the files of this machine at one moment."""

    models: tuple[ModelInfo, ...]
    registry: Registry


async def no_endpoints() -> FoundModels:
    """Return no models: the default of a catalogue without endpoints."""
    return FoundModels(())


class Catalog:
    """Lists the models, and resolves the model that a name means.

    `find` lists the models whose files are here, `served` the models of endpoints; both may cache while their sources
    are unchanged. Files are read on threads, which a cancelled call abandons.
    """

    def __init__(
        self,
        *,
        find: Callable[[], tuple[ModelInfo, ...]],
        registry: Callable[[], Registry],
        memory: Callable[[], Memory],
        state: ChoiceFile,
        settings: Settings,
        served: Callable[[], Awaitable[FoundModels]] = no_endpoints,
    ) -> None:
        self._find = find
        self._served = served
        self._registry = registry
        self._memory = memory
        self._state = state
        self._settings = settings
        self._choice: tuple[tuple[str | None, _LocalFiles, tuple[ModelInfo, ...]], Resolution] | None = None

    async def listing(self) -> Listing:
        """Request the models of the endpoints, and read folders and registry where they have changed."""
        files, served = await self._local_files(), await self._served()
        registry = files.registry
        models = ordered([*files.models, *served.models])
        missing = absent_models(registry.roles, [model.id for model in models])
        unconfigured = unconfigured_endpoints(registry.endpoints, self._settings.endpoints)
        folders = await _on_thread(lambda: folder_warnings(self._settings.folders))
        warnings = (*registry.warnings, *folders, *missing, *served.warnings, *unconfigured)
        return Listing(models, registry.roles, warnings)

    def saved(self) -> str | None:
        """Return the saved choice."""
        return self._state.read()

    def endpoint(self, model_id: str) -> Endpoint | None:
        """Return the endpoint that serves the model of this id; None for a model on this machine."""
        return endpoint_of(model_id, self._settings.endpoints)

    def save(self, choice: str) -> None:
        """Save the id of a model or the name of a profile as the choice."""
        self._state.write(choice)

    @property
    def setting_warnings(self) -> tuple[str, ...]:
        """Warnings about the settings, one sentence each."""
        return self._settings.warnings

    @property
    def profiles(self) -> Mapping[str, Profile]:
        """The profiles of the settings, by name."""
        return self._settings.profiles

    async def named(self, query: str, resident: ModelInfo | None, default: str | None = None) -> Resolution:
        """Resolve the model that `query` means; the memory of the `resident` model counts as free.

        `default` is the caller's setting `model`, see `chosen`. A number means a row of the list; then come profiles,
        then roles and models. The full id of the resident model is resolved without reading any folder.

        Raises:
            UnknownModelError, AmbiguousModelError, IncompleteModelError: see `resolve`.
        """
        if resident is not None and await self._is_id_of(query, resident):
            return Resolution(replace(resident, serving=Serving()))
        listing = await self.listing()
        name = profile_named(query, self.profiles)
        if name is None:
            return await self._model(query, listing, resident, default)
        profile = self.profiles[name]
        found = await self._model(profile.query, listing, resident, default)
        return with_profile(found, name, profile, role=listing.roles.get(name.casefold()))

    async def _model(self, query: str, listing: Listing, resident: ModelInfo | None, default: str | None) -> Resolution:
        role = listing.roles.get(query.strip().casefold(), "")
        if role is None:
            # A role without a model means the resident model, or else the choice, so that no model is replaced.
            model = resident or (await self.chosen(default)).model
            return Resolution(model, f"The role {query!r} is not set; it means {model.id}.")
        try:
            return self._resolve(query, listing, resident)
        except UnknownModelError:
            if unlisted := self._unlisted(query):
                return Resolution(unlisted, f"{query.strip()} is not in the list of its server, which is asked for it.")
            raise

    async def chosen(self, default: str | None = None, resident: ModelInfo | None = None) -> Resolution:
        """Return the model that a chat without a name uses.

        The saved choice comes first, then `default`, which is the caller's setting `model`, then the registry's role
        `default`, then the only model of this machine, then the built-in one, with a note.

        Raises:
            UnknownModelError: several models and no choice, or a choice whose model is gone.
        """
        wanted, files = await _on_thread(lambda: self._wanted(default))
        if wanted is not None:
            if resident is not None and await self._is_id_of(wanted, resident):
                return Resolution(replace(resident, serving=Serving()))
            if profile_named(wanted, self.profiles) is None and (unlisted := self._unlisted(wanted)):
                # A chat with a model of an endpoint does not wait for the lists of all endpoints.
                return Resolution(unlisted)
        # Cached while files and registry are unchanged; a chat with a saved choice does not wait for slow endpoints.
        key = (wanted, files or await self._local_files(), () if wanted else (await self._served()).models)
        if self._choice is not None and self._choice[0] == key:
            return self._choice[1]
        found = await self._saved(wanted) if wanted else await self._default()
        self._choice = (key, replace(found, note="") if wanted else found)
        return found

    def _wanted(self, default: str | None) -> tuple[str | None, _LocalFiles | None]:
        """Return the name of the model to use, and without one the files; read on one thread, for speed."""
        wanted = self._state.read() or default
        return wanted, None if wanted else self._read_files()

    async def _default(self) -> Resolution:
        listing = await self.listing()
        role = listing.roles.get("default")
        return self._resolve(role, listing, None) if role else _only_model(listing)

    async def _saved(self, wanted: str) -> Resolution:
        if profile_named(wanted, self.profiles):
            return await self.named(wanted, None)
        return self._resolve(wanted, await self.listing(), None)

    def planner(self, resident: ModelInfo | None, *, ever: bool = False) -> Callable[[ModelInfo], LoadPlan]:
        """Read memory once, and return a function that plans the load of a model.

        The memory of the `resident` model counts as free; with `ever`, the memory of other programs as well.
        """
        memory, settings = self._memory(), self._settings
        if ever:
            memory = replace(memory, available=memory.total)
        resident_bytes = resident.weight_bytes if resident else 0

        def plan(model: ModelInfo) -> LoadPlan:
            context = settings.reserve_context
            slots = (model.serving.slots or settings.llama_slots) if model.format == "gguf" else 1
            # The setting kv_bits applies to the MLX engine; a started server has caches of its own.
            kv_bits = None if model.started else settings.kv_bits
            return plan_load(
                model,
                memory,
                context=context,
                slots=slots,
                kv_bits=kv_bits,
                resident_bytes=resident_bytes,
                force=settings.force,
            )

        return plan

    async def require_room(self, model: ModelInfo, resident: ModelInfo | None, *, ever: bool = False) -> None:
        """Refuse a model that does not fit after the unload of `resident`; with `ever`, without other programs as well.

        Raises:
            InsufficientMemoryError: with the numbers and the nearest model that would fit.
        """
        plan = self.planner(resident, ever=ever)(model)
        if not plan.fits:
            require_fit(plan, (await self.listing()).models)

    def _resolve(self, query: str, listing: Listing, resident: ModelInfo | None) -> Resolution:
        plan = self.planner(resident)
        return resolve(query, listing.models, roles=listing.roles, fits=lambda model: plan(model).fits)

    def _unlisted(self, query: str) -> ModelInfo | None:
        """Return the model of an endpoint that a full id names, even where its server does not list it."""
        endpoint = endpoint_of(query, self._settings.endpoints)
        return endpoint_model(endpoint, endpoint.served_name(query.strip())) if endpoint else None

    async def _is_id_of(self, query: str, resident: ModelInfo) -> bool:
        """Return whether `query` is the full id of the resident model, and not a number, a profile or a role."""
        if query.strip() != resident.id or resident.id.isdecimal() or profile_named(query, self.profiles):
            return False
        if "/" in resident.id:
            return True
        registry = await _on_thread(self._registry)
        return resident.id.casefold() not in registry.roles

    async def _local_files(self) -> _LocalFiles:
        return await _on_thread(self._read_files)

    def _read_files(self) -> _LocalFiles:
        return _LocalFiles(self._find(), self._registry())


async def _on_thread(read: Callable[[], _Value]) -> _Value:
    """Read on a thread, which is abandoned when the caller is cancelled: a read may block for ever."""
    return await anyio.to_thread.run_sync(read, abandon_on_cancel=True)


def _only_model(listing: Listing) -> Resolution:
    usable = [model for model in listing.models if model.usable and not model.diagnostic]
    # A base model is the only one where no other is here; that it does not chat is then said.
    real = [model for model in usable if model.chats] or usable
    if len(real) == 1:
        return Resolution(real[0], f"{real[0].id} is the only model here.")
    if not real:
        builtin = [model for model in listing.models if model.usable]
        if not builtin:
            raise UnknownModelError("There is no model on this machine. Download one, then call set_model.")
        note = (
            f"No model was found on this machine, so {builtin[0].id}, the built-in test model, answers. It knows a few "
            "scripted answers. Download a real one, for example with `mcp-local-llm pull mlx-community/Qwen3-4B-4bit`."
        )
        return Resolution(builtin[0], note)
    lines = [f"{number:3}. {model.id}" for number, model in enumerate(listing.models, start=1) if model in real]
    raise UnknownModelError("No model is chosen yet. Call set_model with a number or a name:\n" + "\n".join(lines))


class NameCompletion:
    """Completes names of models for clients, which request completions at every key press."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def names(self, typed: str) -> tuple[str, ...]:
        """Return the profiles, roles and models for chats that contain `typed`; names that begin with it come first."""
        listing = await self._catalog.listing()
        known = (*self._catalog.profiles, *listing.roles, *(model.id for model in listing.models if model.chats))
        text = typed.strip().casefold()
        hits = [name for name in dict.fromkeys(known) if text in name.casefold()]
        return tuple(sorted(hits, key=lambda name: not _begins(name, text)))

    async def candidates(self, query: str, resident: ModelInfo | None) -> tuple[str, ...]:
        """Return the ids of the models that an ambiguous `query` may mean; empty for a clear or unknown one."""
        try:
            await self._catalog.named(query, resident)
        except AmbiguousModelError as error:
            return error.candidates
        except LocalLLMError:
            return ()  # The verb that is called with the name raises the same error.
        return ()


def _begins(name: str, text: str) -> bool:
    folded = name.casefold()
    return folded.startswith(text) or folded.rpartition("/")[2].startswith(text)
