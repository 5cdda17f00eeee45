"""Names to offer while the user types, and candidates to choose from. Reads the catalogue; decides nothing."""

import time
from collections.abc import Callable

from mcp_local_llm.catalog import Catalog, Listing
from mcp_local_llm.errors import AmbiguousModelError, LocalLLMError
from mcp_local_llm.model import ModelInfo

MAX_AGE_S = 10.0
"""How old a listing may be that completes a name: a client asks for every key that is pressed."""


class Suggestions:
    """Owns the last listing."""

    def __init__(self, catalog: Catalog, clock: Callable[[], float] = time.monotonic) -> None:
        self._catalog = catalog
        self._clock = clock
        self._last: tuple[float, Listing] | None = None

    async def names(self, typed: str) -> tuple[str, ...]:
        """Return profiles, roles and sound models that hold what was typed; those that begin with it come first."""
        now = self._clock()
        if self._last is None or now - self._last[0] > MAX_AGE_S:
            self._last = (now, await self._catalog.look())
        listing = self._last[1]
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
            return ()  # Whoever acts on the name says what is wrong with it.
        return ()


def _begins(name: str, text: str) -> bool:
    folded = name.casefold()
    return folded.startswith(text) or folded.rpartition("/")[2].startswith(text)
