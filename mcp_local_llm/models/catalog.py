"""The models of this machine, the roles they fill, and the one that is chosen.

It knows where facts come from (files, registry, settings, the saved choice) and asks the pure functions below it;
it knows no engine and no protocol.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import anyio.to_thread

from mcp_local_llm.models.choice import StateFile
from mcp_local_llm.models.fit import LoadPlan, plan_load, require_fit
from mcp_local_llm.models.profiles import profile_named, with_profile
from mcp_local_llm.models.resolve import Resolution, ordered, resolve
from mcp_local_llm.models.roles import Registry, absent_models
from mcp_local_llm.setup.settings import Settings
from mcp_local_llm.values.endpoint import Endpoint, endpoint_of, offered
from mcp_local_llm.values.errors import AmbiguousModelError, LocalLLMError, UnknownModelError
from mcp_local_llm.values.machine import Memory
from mcp_local_llm.values.model import Found, ModelInfo, Serving, endpoint_model
from mcp_local_llm.values.profile import Profile

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Listing:
    """One look at the machine.

    Attributes:
        models: in the order of their numbers.
        roles: role → id, None where it has none.
        warnings: what was passed over, one sentence each.
    """

    models: tuple[ModelInfo, ...]
    roles: Mapping[str, str | None]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Here:
    """What the files of this machine say at one moment."""

    models: tuple[ModelInfo, ...]
    registry: Registry


async def no_endpoints() -> Found:
    """List the models of no endpoint at all."""
    return Found(())


class Catalog:
    """Answers which models there are and which one a name means.

    `find` lists the models whose files are here, `served` those behind endpoints. Both may keep what they found, and
    answer from it only while its source is the same. Files are read on threads that a cancelled call leaves behind.
    """

    def __init__(
        self,
        *,
        find: Callable[[], tuple[ModelInfo, ...]],
        registry: Callable[[], Registry],
        memory: Callable[[], Memory],
        state: StateFile,
        settings: Settings,
        served: Callable[[], Awaitable[Found]] = no_endpoints,
    ) -> None:
        self._find = find
        self._served = served
        self._registry = registry
        self._memory = memory
        self._state = state
        self._settings = settings
        self._choice: tuple[tuple[str, _Here], Resolution] | None = None

    async def look(self) -> Listing:
        """Ask the endpoints, and read what has changed of folders and registry."""
        return self._listing(await self._here(), await self._served())

    def saved(self) -> str | None:
        """Return the saved choice as it stands in its file."""
        return self._state.read()

    def endpoint(self, model_id: str) -> Endpoint | None:
        """Return the endpoint that serves the model of this id; None for a model on this machine. Asks nobody."""
        return endpoint_of(model_id, self._settings.endpoints)

    def save(self, choice: str) -> None:
        """Make the model of this id, or the profile of this name, the choice that survives restarts."""
        self._state.write(choice)

    @property
    def setting_warnings(self) -> tuple[str, ...]:
        """What the user should change in the settings, one sentence each."""
        return self._settings.warnings

    @property
    def profiles(self) -> Mapping[str, Profile]:
        """The profiles of the settings, by name."""
        return self._settings.profiles

    async def named(self, query: str, held: ModelInfo | None, default: str | None = None) -> Resolution:
        """Find the model that `query` means; `held` is resident now, and its memory counts as free.

        `default` is the caller's own setting, see `chosen`. A number means a place in the list; then come the names of
        profiles, then those of roles and models. The whole id of the resident model needs no look at any folder.

        Raises:
            UnknownModelError, AmbiguousModelError, IncompleteModelError: see `resolve`.
        """
        if held is not None and await self._is_id_of(query, held):
            return Resolution(replace(held, serving=Serving()))
        listing = await self.look()
        name = profile_named(query, self.profiles)
        if name is None:
            return await self._model(query, listing, held, default)
        profile = self.profiles[name]
        found = await self._model(profile.query, listing, held, default)
        return with_profile(found, name, profile, role=listing.roles.get(name.casefold()))

    async def _model(self, query: str, listing: Listing, held: ModelInfo | None, default: str | None) -> Resolution:
        role = listing.roles.get(query.strip().casefold(), "")
        if role is None:
            # A role that nobody filled means whatever is resident, or else the choice: never a swap.
            model = held or (await self.chosen(default)).model
            return Resolution(model, f"The role {query!r} is not set; it means {model.id}.")
        try:
            return self._resolve(query, listing, held)
        except UnknownModelError:
            if unlisted := self._unlisted(query):
                return Resolution(unlisted, f"{query.strip()} is not in the list of its server, which is asked for it.")
            raise

    async def chosen(self, default: str | None = None, held: ModelInfo | None = None) -> Resolution:
        """Return the model that a chat without a name uses; `held` is resident now.

        The saved choice comes first, then `default`, which is the caller's setting `model`, then the registry's role
        `default`, then the only real model there is; with no real model at all, the built-in one, and the note says so.

        Raises:
            UnknownModelError: several models and no choice, or a choice that is not on this machine any more.
        """
        wanted = await _off_loop(self._state.read) or default
        if wanted is None:
            listing = await self.look()
            role = listing.roles.get("default")
            return self._resolve(role, listing, None) if role else _only(listing)
        if held is not None and await self._is_id_of(wanted, held):
            return Resolution(replace(held, serving=Serving()))
        if profile_named(wanted, self.profiles) is None and (unlisted := self._unlisted(wanted)):
            # A chat with a model behind an endpoint does not wait for every endpoint's list.
            return Resolution(unlisted)
        # Kept as long as files and registry are the same: the endpoints, which may be slow to answer, are not asked
        # again for each chat.
        key = (wanted, await self._here())
        if self._choice is not None and self._choice[0] == key:
            return self._choice[1]
        found = await self._saved(wanted)
        self._choice = (key, replace(found, note=""))
        return found

    async def _saved(self, wanted: str) -> Resolution:
        if profile_named(wanted, self.profiles):
            return await self.named(wanted, None)
        return self._resolve(wanted, await self.look(), None)

    def planner(self, held: ModelInfo | None, *, ever: bool = False) -> Callable[[ModelInfo], LoadPlan]:
        """Read memory once, and return what compares a model with it; what `held` takes counts as free.

        With `ever`, what other programs hold at the moment counts as free as well.
        """
        memory, settings = self._memory(), self._settings
        if ever:
            memory = replace(memory, available=memory.total)
        held_bytes = held.weight_bytes if held else 0

        def plan(model: ModelInfo) -> LoadPlan:
            context = settings.reserve_context
            slots = (model.serving.slots or settings.llama_slots) if model.format == "gguf" else 1
            # The setting is for the engine in this process; a server that is started keeps its own caches.
            kv_bits = None if model.started else settings.kv_bits
            return plan_load(
                model,
                memory,
                context=context,
                slots=slots,
                kv_bits=kv_bits,
                held_bytes=held_bytes,
                force=settings.force,
            )

        return plan

    async def require_room(self, model: ModelInfo, held: ModelInfo | None, *, ever: bool = False) -> None:
        """Let `model` pass where it fits once `held` is gone, or with `ever` once everything else is.

        Raises:
            InsufficientMemoryError: with the numbers and the nearest model that would fit.
        """
        plan = self.planner(held, ever=ever)(model)
        if not plan.fits:
            require_fit(plan, (await self.look()).models)

    def _resolve(self, query: str, listing: Listing, held: ModelInfo | None) -> Resolution:
        plan = self.planner(held)
        return resolve(query, listing.models, roles=listing.roles, fits=lambda model: plan(model).fits)

    def _unlisted(self, query: str) -> ModelInfo | None:
        """Return the model of an endpoint that a full id names, whether or not its server lists it."""
        endpoint = endpoint_of(query, self._settings.endpoints)
        return endpoint_model(endpoint, endpoint.served_name(query.strip())) if endpoint else None

    async def _is_id_of(self, query: str, held: ModelInfo) -> bool:
        """Tell whether `query` is the whole id of the resident model, and neither a number, a profile nor a role."""
        if query.strip() != held.id or held.id.isdecimal() or profile_named(query, self.profiles):
            return False
        if "/" in held.id:
            return True
        registry = await _off_loop(self._registry)
        return held.id.casefold() not in {role.casefold() for role in registry.roles}

    async def _here(self) -> _Here:
        return await _off_loop(lambda: _Here(self._find(), self._registry()))

    def _listing(self, here: _Here, served: Found) -> Listing:
        registry = here.registry
        models = ordered([*here.models, *served.models])
        missing = absent_models(registry.roles, [model.id for model in models])
        offers = offered(registry.endpoints, self._settings.endpoints)
        return Listing(models, registry.roles, (*registry.warnings, *missing, *served.warnings, *offers))


async def _off_loop(read: Callable[[], _Value]) -> _Value:
    """Read on a thread, which is left behind when the caller is cancelled: a disk may never answer."""
    return await anyio.to_thread.run_sync(read, abandon_on_cancel=True)


def _only(listing: Listing) -> Resolution:
    real = [model for model in listing.models if model.usable and not model.diagnostic]
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


class Suggestions:
    """Completes what the user types. Clients ask for every key that is pressed; the catalogue reads what changed."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def names(self, typed: str) -> tuple[str, ...]:
        """Return profiles, roles and sound models that hold what was typed; those that begin with it come first."""
        listing = await self._catalog.look()
        known = (*self._catalog.profiles, *listing.roles, *(model.id for model in listing.models if model.usable))
        text = typed.strip().casefold()
        hits = [name for name in dict.fromkeys(known) if text in name.casefold()]
        return tuple(sorted(hits, key=lambda name: not _begins(name, text)))

    async def candidates(self, query: str, held: ModelInfo | None) -> tuple[str, ...]:
        """Return the ids among which the user has to choose; empty where `query` is clear, or wrong altogether."""
        try:
            await self._catalog.named(query, held)
        except AmbiguousModelError as error:
            return error.candidates
        except LocalLLMError:
            return ()  # The verb that acts on the name says what is wrong with it.
        return ()


def _begins(name: str, text: str) -> bool:
    folded = name.casefold()
    return folded.startswith(text) or folded.rpartition("/")[2].startswith(text)
