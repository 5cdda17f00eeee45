"""The catalogue: what a name means now, read from sources that may change at any time, no more often than needed."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mcp_local_llm.models.catalog import Catalog
from mcp_local_llm.models.choice import ChoiceFile
from mcp_local_llm.models.find import ModelRoots, find_models
from mcp_local_llm.models.roles import read_registry
from mcp_local_llm.setup.settings import Settings
from mcp_local_llm.values.errors import ConfigError, UnknownModelError
from mcp_local_llm.values.machine import Memory
from mcp_local_llm.values.model import FoundModels, ModelInfo
from tests.model_cache import place_tiny
from tests.models.test_folder_cache import Counting

SMALL, LARGE = "org/Coder-7B", "org/Coder-32B"
MEMORY = Memory(total=64 * 10**9, available=48 * 10**9)


@dataclass
class Home:
    """A catalogue over real files, with counters of what it read."""

    folder: Path
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        self.registry, self.choice = self.folder / "registry.json", self.folder / "active_model"
        self.cache = Counting()
        self.looks = self.asked = 0
        for name in (SMALL, LARGE):
            place_tiny(self.folder / "hub", name)
        self.catalog = Catalog(
            find=self._find,
            registry=lambda: read_registry(self.registry),
            memory=lambda: MEMORY,
            state=ChoiceFile(self.choice),
            settings=Settings.model_validate(self.settings),
            served=self._served,
        )

    def roles(self, **models: str | None) -> None:
        self.registry.write_text(json.dumps({"models": models}))

    def _find(self) -> tuple[ModelInfo, ...]:
        self.looks += 1
        return find_models(ModelRoots(hub_caches=(self.folder / "hub",)), cache=self.cache)

    async def _served(self) -> FoundModels:
        self.asked += 1
        return FoundModels(())

    async def model(self, name: str) -> ModelInfo:
        return next(model for model in (await self.catalog.listing()).models if model.id == name)


async def test_the_whole_id_of_the_resident_model_needs_no_look(tmp_path: Path) -> None:
    home = Home(tmp_path)
    held = await home.model(LARGE)
    home.looks = home.asked = 0
    assert (await home.catalog.named(LARGE, held)).model == held
    assert (await home.catalog.named(f" {LARGE} ", held)).model == held
    home.catalog.save(LARGE)
    assert (await home.catalog.chosen(home.settings.get("model"), held)).model == held
    assert (home.looks, home.asked) == (0, 0)


async def test_a_name_that_means_the_resident_model_reads_no_folder_again(tmp_path: Path) -> None:
    home = Home(tmp_path)
    held = await home.model(LARGE)
    home.cache.reads()
    for name in ("32b", "1", LARGE.lower(), "coder 32"):
        assert (await home.catalog.named(name, held)).model == held
    assert (await home.catalog.named(SMALL, held)).model.id == SMALL
    assert home.cache.reads() == 0


@pytest.mark.parametrize("role", ["tiny", "Tiny"])
async def test_a_role_wins_over_a_resident_model_of_the_same_name(tmp_path: Path, role: str) -> None:
    home = Home(tmp_path)
    home.roles(**{role: LARGE})
    held = ModelInfo("tiny", tmp_path, "builtin")
    assert (await home.catalog.named("tiny", held)).model.id == LARGE
    home.roles()
    assert (await home.catalog.named("tiny", held)).model == held


async def test_a_number_is_a_place_in_the_list_even_where_the_resident_model_is_called_so(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert (await home.catalog.named("2", ModelInfo("2", tmp_path, "folder"))).model.id == SMALL


async def test_a_profile_wins_over_a_resident_model_of_the_same_name(tmp_path: Path) -> None:
    home = Home(tmp_path, {"profiles": {"tiny": {"model": SMALL}}})
    found = await home.catalog.named("tiny", ModelInfo("tiny", tmp_path, "builtin"))
    assert (found.model.id, found.profile) == (SMALL, "tiny")


@pytest.mark.parametrize("source", ["setting", "choice", "default", "profile"])
async def test_a_changed_registry_is_seen_by_every_question(tmp_path: Path, source: str) -> None:
    wanted = {"setting": {"model": "coding"}, "profile": {"model": "code", "profiles": {"code": {"model": "coding"}}}}
    home = Home(tmp_path, wanted.get(source, {}))
    if source == "choice":
        home.catalog.save("coding")
    role = "default" if source == "default" else "coding"
    for meant in (LARGE, SMALL, LARGE):
        home.roles(**{role: meant})
        for held in (None, await home.model(LARGE), await home.model(SMALL)):
            assert (await home.catalog.chosen(home.settings.get("model"), held)).model.id == meant
            assert (await home.catalog.named(role, held)).model.id == meant
        assert (await home.catalog.listing()).roles[role] == meant


async def test_a_role_that_loses_its_model_is_seen(tmp_path: Path) -> None:
    home = Home(tmp_path, {"model": "coding"})
    home.roles(coding=LARGE)
    await home.catalog.chosen(home.settings.get("model"))
    home.roles(coding=None)
    with pytest.raises(UnknownModelError):
        await home.catalog.chosen(home.settings.get("model"))
    home.registry.unlink()
    with pytest.raises(UnknownModelError):
        await home.catalog.chosen(home.settings.get("model"))


async def test_a_changed_choice_is_seen(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for name in (SMALL, LARGE, SMALL):
        home.choice.write_text(f"{name}\n")
        assert (await home.catalog.chosen(home.settings.get("model"))).model.id == name


async def test_a_model_that_was_removed_is_chosen_no_more(tmp_path: Path) -> None:
    home = Home(tmp_path, {"model": "7b"})
    assert (await home.catalog.chosen(home.settings.get("model"))).model.id == SMALL
    (tmp_path / "hub" / "models--org--Coder-7B").rename(tmp_path / "elsewhere")
    with pytest.raises(UnknownModelError):
        await home.catalog.chosen(home.settings.get("model"))


async def test_endpoints_are_not_asked_again_for_a_choice_whose_sources_are_the_same(tmp_path: Path) -> None:
    home = Home(tmp_path, {"model": "32b"})
    await home.catalog.chosen(home.settings.get("model"))
    home.asked = 0
    await home.catalog.chosen(home.settings.get("model"))
    assert home.asked == 0
    home.roles(coding=SMALL)
    await home.catalog.chosen(home.settings.get("model"))
    assert home.asked == 1


async def test_what_was_decided_on_the_way_to_the_choice_is_told_once(tmp_path: Path) -> None:
    home = Home(tmp_path, {"model": "coding"})
    home.roles(coding=LARGE)
    notes = [(await home.catalog.chosen(home.settings.get("model"))).note for _ in range(2)]
    assert notes == [f"The role 'coding' stands for {LARGE}.", ""]


async def test_a_fifo_as_registry_or_choice_is_told_and_holds_nothing_up(tmp_path: Path) -> None:
    home = Home(tmp_path)
    os.mkfifo(home.registry)
    assert any("it is not a regular file" in warning for warning in (await home.catalog.listing()).warnings)
    os.mkfifo(home.choice)
    with pytest.raises(ConfigError, match="it is not a regular file"):
        await home.catalog.chosen(home.settings.get("model"))


async def test_with_nothing_chosen_nothing_is_listed_or_asked_again_while_nothing_changes(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.roles(default=LARGE)
    first = await home.catalog.chosen()
    with pytest.MonkeyPatch.context() as patched:
        for owner, name in ((Path, "iterdir"), (os, "scandir")):
            patched.setattr(owner, name, None)
        assert await home.catalog.chosen() == first
    assert first.model.id == LARGE
    home.roles()
    with pytest.raises(UnknownModelError, match="No model is chosen yet"):
        await home.catalog.chosen()
    (tmp_path / "hub" / "models--org--Coder-7B").rename(tmp_path / "elsewhere")
    assert (await home.catalog.chosen()).note == f"{LARGE} is the only model here."
    assert (await home.catalog.chosen()).model.id == LARGE
    place_tiny(tmp_path / "hub", SMALL)
    with pytest.raises(UnknownModelError, match="No model is chosen yet"):
        await home.catalog.chosen()
