"""Names to offer while the user types, and candidates to choose from. Reads the catalogue; decides nothing."""

from mcp_local_llm.models.catalog import Catalog
from mcp_local_llm.values.errors import AmbiguousModelError, LocalLLMError
from mcp_local_llm.values.model import ModelInfo


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
