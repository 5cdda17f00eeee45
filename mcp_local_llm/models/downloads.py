"""A model that is asked for by name and is not here → a model that is here.

Decides what may be downloaded: whole repository names only, models that this program can run, and only what memory and
disk have room for, all of it known before the first byte. It knows the hub and the catalogue, no engine, no protocol.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from mcp_local_llm.models.catalog import Catalog
from mcp_local_llm.models.fit import published_rule
from mcp_local_llm.models.hub import Hub, Repository, is_repository_id
from mcp_local_llm.models.known import GUIDE, GuideEntry
from mcp_local_llm.models.profiles import profile_named
from mcp_local_llm.models.resolve import Resolution
from mcp_local_llm.values.errors import IncompleteModelError, InvalidRequestError, UnknownModelError
from mcp_local_llm.values.model import ModelInfo, human_bytes
from mcp_local_llm.values.progress import ReportProgress

_MAX_CANDIDATES = 6


@dataclass(frozen=True)
class Obtained:
    """A model that is on this machine now.

    Attributes:
        found: the model, and what was decided on the way.
        fetched_bytes: what came over the network; 0 where everything was here.
        seconds: from the question to the last byte.
    """

    found: Resolution
    fetched_bytes: int = 0
    seconds: float = 0.0

    @property
    def note(self) -> str:
        """Say in a sentence what was downloaded."""
        if not self.fetched_bytes:
            return "It was on this machine already; nothing was downloaded."
        return f"{human_bytes(self.fetched_bytes)} were downloaded in {self.seconds:.0f} s and verified."


class Downloads:
    """Brings models onto this machine."""

    def __init__(
        self,
        *,
        hub: Hub,
        catalog: Catalog,
        describe: Callable[[Repository], ModelInfo],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub = hub
        self._catalog = catalog
        self._describe = describe
        self._clock = clock

    async def obtain(
        self, name: str, report: ReportProgress, *, held: ModelInfo | None, to_load: bool = False
    ) -> Obtained:
        """Return the model that `name` means, downloaded if it is not here.

        A whole repository name means that repository; a role means the one it stands for; anything else can only
        mean what is here, because a fragment is never completed to a name on the hub.

        Args:
            name: as the user gave it.
            report: takes bytes, with rate and time left.
            held: the resident model; its memory counts as free.
            to_load: it is to be loaded at once, so it must fit into what is free now, not only into this machine.

        Raises:
            InvalidRequestError, UnknownModelError, AmbiguousModelError: what `name` means.
            IncompleteModelError: it would not run here (remote code, pickles, an unknown architecture).
            InsufficientMemoryError: it would not fit; nothing was downloaded.
            DownloadError, BackendError, BusyError: from the hub.
        """
        started = self._clock()
        wanted = await self._repository(name)
        if wanted is None:
            return Obtained(await self._here(name, held))
        listing = await self._catalog.look()
        if any(model.usable and model.id.casefold() == wanted.casefold() for model in listing.models):
            return Obtained(await self._catalog.named(wanted, held))
        repository = await self._hub.look(wanted)
        planned = self._describe(repository)
        if planned.problems:
            raise IncompleteModelError(f"{repository.id} is not downloaded: {'; '.join(planned.problems)}.")
        await self._catalog.require_room(planned, held, ever=not to_load)
        fetched = await self._hub.fetch(repository, report)
        found = await self._catalog.named(repository.id, held)
        return Obtained(found, fetched.fetched_bytes, self._clock() - started)

    async def _repository(self, name: str) -> str | None:
        """Return the whole repository name that a name stands for; None for one that can only mean what is here."""
        text = name.strip().strip("\"'`").strip()
        if not text:
            raise InvalidRequestError("No model was named. Give the whole name of a repository, publisher/name.")
        if is_repository_id(text):
            return text
        if profile_named(text, self._catalog.profiles):
            return None
        role = (await self._catalog.look()).roles.get(text.casefold())
        return role if role and is_repository_id(role) else None

    async def _here(self, name: str, held: ModelInfo | None) -> Resolution:
        try:
            return await self._catalog.named(name, held)
        except UnknownModelError as error:
            raise UnknownModelError(
                f"{error}\nA download needs the whole name of a repository, publisher/name; {name!r} is none. "
                f"Well-known ones, with the memory they take:\n{_suggestions(name)}"
            ) from error
        except IncompleteModelError as error:
            raise IncompleteModelError(f"{error} A download needs the whole name, publisher/name.") from error


def _suggestions(name: str) -> str:
    """List repositories from the guide that hold the words of `name`, else one of each model."""
    words = name.casefold().replace("/", " ").replace("-", " ").split()
    every = [(entry, bits) for entry in GUIDE for bits in entry.bits]
    like = [(entry, bits) for entry, bits in every if all(word in entry.repository(bits).casefold() for word in words)]
    shown = like or [(entry, min(entry.bits)) for entry in GUIDE]
    return "\n".join(f"  {_suggestion(entry, bits)}" for entry, bits in shown[:_MAX_CANDIDATES])


def _suggestion(entry: GuideEntry, bits: int) -> str:
    """One line; the size follows the published rule, because no file of it is here to measure."""
    return f"{entry.repository(bits)} (about {human_bytes(published_rule(entry.parameters, bits))})"
