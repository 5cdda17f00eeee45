"""Downloads models by name: full repository names only, of models that an engine here can run and that fit.

Memory, disk space and format are checked before the first byte. It must not know engines or protocols.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from mcp_local_llm.models.catalog import Catalog
from mcp_local_llm.models.fit import published_rule
from mcp_local_llm.models.hub import Hub, Repository, is_repository_id
from mcp_local_llm.models.known import KNOWN_MODELS, KnownModel
from mcp_local_llm.models.profiles import profile_named
from mcp_local_llm.models.resolve import Resolution
from mcp_local_llm.values.errors import IncompleteModelError, InvalidRequestError, UnknownModelError, shortened
from mcp_local_llm.values.model import ModelInfo, human_bytes
from mcp_local_llm.values.progress import ReportProgress

_MAX_CANDIDATES = 6


@dataclass(frozen=True)
class DownloadOutcome:
    """The result of a download.

    Attributes:
        found: the model, with a note.
        fetched_bytes: bytes that were downloaded; 0 where all files were here.
        seconds: of the whole download.
    """

    found: Resolution
    fetched_bytes: int = 0
    seconds: float = 0.0

    @property
    def note(self) -> str:
        """Sentence that says what was downloaded."""
        if not self.fetched_bytes:
            return "It was on this machine already; nothing was downloaded."
        return f"{human_bytes(self.fetched_bytes)} were downloaded in {self.seconds:.0f} s and verified."


class Downloads:
    """Downloads the models that names mean."""

    def __init__(self, *, hub: Hub, catalog: Catalog, describe: Callable[[Repository], ModelInfo]) -> None:
        self._hub = hub
        self._catalog = catalog
        self._describe = describe

    async def download(
        self, name: str, report: ReportProgress, *, resident: ModelInfo | None, to_load: bool = False
    ) -> DownloadOutcome:
        """Return the model that `name` means, downloaded if it is not here.

        A full repository name or a role that stands for one is downloaded; any other name can only mean a model that
        is here, because a fragment is never completed to a repository of the hub.

        Args:
            name: as the user gave it.
            report: receives the progress in bytes.
            resident: the resident model; its memory counts as free.
            to_load: the model is loaded next, so it must fit into the memory that is free now.

        Raises:
            InvalidRequestError, UnknownModelError, AmbiguousModelError: `name` means no model, or several.
            IncompleteModelError: no engine here can run it (remote code, pickles, an unknown architecture).
            InsufficientMemoryError: it does not fit; nothing was downloaded.
            DownloadError, BackendError, BusyError: from the hub.
        """
        started = time.monotonic()
        wanted = await self._repository(name)
        if wanted is None:
            return DownloadOutcome(await self._local(name, resident))
        listing = await self._catalog.listing()
        if any(model.usable and model.id.casefold() == wanted.casefold() for model in listing.models):
            return DownloadOutcome(await self._catalog.named(wanted, resident))
        repository = await self._hub.describe(wanted)
        planned = self._describe(repository)
        if planned.problems:
            raise IncompleteModelError(f"{repository.id} is not downloaded: {'; '.join(planned.problems)}.")
        await self._catalog.require_room(planned, resident, ever=not to_load)
        fetched_bytes = await self._hub.fetch(repository, report)
        found = await self._catalog.named(repository.id, resident)
        return DownloadOutcome(found, fetched_bytes, time.monotonic() - started)

    async def _repository(self, name: str) -> str | None:
        """Return the full repository name that `name` stands for; None for a name that can only mean a model here."""
        text = name.strip().strip("\"'`").strip()
        if not text:
            raise InvalidRequestError("No model was named. Give the whole name of a repository, publisher/name.")
        if is_repository_id(text):
            return text
        if profile_named(text, self._catalog.profiles):
            return None
        role = (await self._catalog.listing()).roles.get(text.casefold())
        return role if role and is_repository_id(role) else None

    async def _local(self, name: str, resident: ModelInfo | None) -> Resolution:
        try:
            return await self._catalog.named(name, resident)
        except UnknownModelError as error:
            raise UnknownModelError(
                f"{error}\nA download needs the whole name of a repository, publisher/name; {shortened(name)!r} is "
                f"none. Well-known ones, with the memory they take:\n{_known_repositories(name)}"
            ) from error
        except IncompleteModelError as error:
            raise IncompleteModelError(f"{error} A download needs the whole name, publisher/name.") from error


def _known_repositories(name: str) -> str:
    """List well-known repositories that contain the words of `name`, else one for each well-known model."""
    words = name.casefold().replace("/", " ").replace("-", " ").split()
    every = [(entry, bits) for entry in KNOWN_MODELS for bits in entry.bits]
    like = [(entry, bits) for entry, bits in every if all(word in entry.repository(bits).casefold() for word in words)]
    shown = like or [(entry, min(entry.bits)) for entry in KNOWN_MODELS]
    return "\n".join(f"  {_known_repository(entry, bits)}" for entry, bits in shown[:_MAX_CANDIDATES])


def _known_repository(entry: KnownModel, bits: int) -> str:
    """Return one line; the size is by the published rule, because no file is here to measure."""
    return f"{entry.repository(bits)} (about {human_bytes(published_rule(entry.parameters, bits))})"
