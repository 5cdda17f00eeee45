"""The names of models that a request can send, and what becomes of any other name."""

from dataclasses import dataclass

from mcp_local_llm.llm.llm import LLM
from mcp_local_llm.values.errors import UnknownModelError, first_of

MAX_NAMED = 20
"""Names of models in an error."""


@dataclass(frozen=True)
class ModelNames:
    """The names of models.

    Attributes:
        any_model: answer requests that name another model with the chosen one.
    """

    llm: LLM
    any_model: bool = False

    async def listed(self) -> list[str]:
        """List the names: the resident model first, then roles and profiles, then the other models."""
        table = await self.llm.list_models()
        rows = [row for row in table.models if row.fits]
        rows.sort(key=lambda row: not row.resident)
        resident = [row.name for row in rows if row.resident]
        roles = [role for row in rows for role in row.roles]
        profiles = [profile.name for profile in table.profiles]
        return list(dict.fromkeys([*resident, *roles, *profiles, *(row.name for row in rows)]))

    async def meant(self, name: str | None) -> str | None:
        """Return the name to ask for; None is the chosen model."""
        # Clients that must send a model name, but have none, send an empty one.
        if not name or not self.any_model or name == (await self.llm.status()).model:
            return name or None
        known = {other.casefold() for other in await self.listed()}
        return name if name.casefold() in known else None

    async def with_names(self, error: UnknownModelError) -> UnknownModelError:
        """Return the error with the names that there are."""
        names = await self.listed()
        return UnknownModelError(f"{error} Models here: {first_of(names, MAX_NAMED) or 'none'}.")
