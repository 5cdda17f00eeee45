"""The models' files on this machine and the saved choice, for commands that remove them. It must not know engines."""

from collections.abc import Callable
from dataclasses import dataclass

from mcp_local_llm.models.catalog import Catalog
from mcp_local_llm.models.choice import ChoiceFile
from mcp_local_llm.models.find import ModelRoots
from mcp_local_llm.models.removal import Removal, plan_removal
from mcp_local_llm.models.roles import Registry
from mcp_local_llm.values.errors import AmbiguousModelError, UnknownModelError, shortened
from mcp_local_llm.values.model import ModelInfo


@dataclass(frozen=True)
class Storage:
    """Finds what belongs to a model.

    Attributes:
        catalog: lists the models.
        roots: the folders in which they may lie.
        choice: the file of the saved choice.
        registry: reads the roles; `registry_name` is its file, for messages.
    """

    catalog: Catalog
    roots: ModelRoots
    choice: ChoiceFile
    registry: Callable[[], Registry]
    registry_name: str

    async def plan(self, name: str, *, all_revisions: bool = False) -> Removal:
        """Plan the removal of the model that `name` means, broken ones included.

        Raises:
            UnknownModelError, AmbiguousModelError: the name means no model, or several.
            InvalidRequestError: see `plan_removal`.
        """
        models = (await self.catalog.listing()).models
        return plan_removal(_one(name, models), self.roots, models, all_revisions=all_revisions)

    async def path_of(self, model: str) -> str:
        """Return the path of the model with this id; empty where there is none."""
        return next((str(one.path) for one in (await self.catalog.listing()).models if one.id == model), "")

    def is_chosen(self, model: str) -> bool:
        """Return whether a model is the saved choice."""
        return self.choice.read() == model

    def forget_choice(self) -> None:
        """Remove the saved choice."""
        self.choice.clear()

    def missing_default(self) -> str:
        """Return a sentence for a registry whose default cannot be used."""
        default = self.registry().roles.get("default")
        if default:
            return (
                f"{self.registry_name} names {default} as default, which is not on this machine. Fetch it with "
                f"`mcp-local-llm pull {default}`."
            )
        return f"{self.registry_name} names no model as default (models.default). Choose one with set_model."


def _one(name: str, models: tuple[ModelInfo, ...]) -> ModelInfo:
    """Return the one model that a number, an id, the last part of an id, or a part of it means; nothing is guessed.

    Raises:
        UnknownModelError, AmbiguousModelError: none or several.
    """
    query = name.strip().casefold()
    if query.isdecimal() and 0 < int(query) <= len(models):
        return models[int(query) - 1]
    levels: tuple[Callable[[str], bool], ...] = (
        lambda one: one == query,
        lambda one: one.rpartition("/")[2] == query,
        lambda one: all(word in one for word in query.split()),
    )
    for matches in levels:
        found = [model for model in models if query and matches(model.id.casefold())]
        if len(found) == 1:
            return found[0]
        if found:
            ids = tuple(model.id for model in found)
            lines = "\n".join(f"  {one}" for one in ids)
            raise AmbiguousModelError(f"{shortened(name)!r} means several models. Name one of them:\n{lines}", ids)
    raise UnknownModelError(f"No model here is called {shortened(name)!r}. list_models shows all {len(models)}.")
