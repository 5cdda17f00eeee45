"""What is deleted for one model, and what never is."""

import os
from pathlib import Path

import pytest

from mcp_local_llm.models.find import ModelRoots, find_models
from mcp_local_llm.models.find.roots import BUILTIN_FOLDER
from mcp_local_llm.models.hub import repository_lock
from mcp_local_llm.models.removal import plan_removal, remove
from mcp_local_llm.values.errors import BusyError, InvalidRequestError
from mcp_local_llm.values.model import ModelInfo
from tests.model_cache import QWEN_7B, Packing, model_files, qwen_gguf, write

NAME = "acme/model-4bit"
FILES = model_files(QWEN_7B, Packing(4))


class Disk:
    """A cache, LM Studio's folder and a folder of the user."""

    def __init__(self, path: Path) -> None:
        self.hub, self.lmstudio, self.own = path / "hub", path / "lmstudio", path / "own"
        self.roots = ModelRoots((self.hub,), (self.lmstudio,), (), (self.own,), BUILTIN_FOLDER)

    def models(self) -> dict[str, ModelInfo]:
        return {model.id: model for model in find_models(self.roots, architectures={"qwen2"})}

    def remove(self, name: str, *, all_revisions: bool = False) -> tuple[str, ...]:
        """Remove a model and return the notes."""
        models = self.models()
        removal = plan_removal(models[name], self.roots, models.values(), all_revisions=all_revisions)
        remove(removal)
        return removal.notes

    def snapshot(self, revision: str, blobs: dict[str, str], *, main: bool = True) -> Path:
        """Place one revision; blobs are file name → name of the blob, which is shared by that name."""
        repository = self.hub / f"models--{NAME.replace('/', '--')}"
        for name, blob in blobs.items():
            write(repository / "blobs" / blob, FILES[name])
            link = repository / "snapshots" / revision / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(Path("../../blobs") / blob)
        write(repository / "refs" / ("main" if main else f"v-{revision}"), revision)
        return repository


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_the_only_revision_takes_its_repository_and_locks_with_it(disk: Disk) -> None:
    disk.snapshot("aaa", {name: f"blob-{name}" for name in FILES})
    write(disk.hub / "models--acme--other" / "refs" / "main", "x")
    assert disk.remove(NAME) == ()
    assert names(disk.hub) == {"models--acme--other", ".locks"}
    assert names(disk.hub / ".locks") == set()
    assert NAME not in disk.models()


def test_blobs_that_another_revision_links_to_stay_and_so_does_its_ref(disk: Disk) -> None:
    disk.snapshot("aaa", {name: f"blob-{name}" for name in FILES}, main=False)
    repository = disk.snapshot("bbb", {name: f"blob-{name}{'-new' if name == 'config.json' else ''}" for name in FILES})
    write(repository / ".no_exist" / "bbb" / "adapter.json", "")
    notes = disk.remove(NAME)
    assert any("aaa" in note and "--all-revisions" in note for note in notes)
    assert names(repository / "snapshots") == {"aaa"}
    assert names(repository / "blobs") == {f"blob-{name}" for name in FILES}
    assert names(repository / "refs") == {"v-aaa"}
    assert names(repository / ".no_exist") == set()
    assert disk.models()[NAME].usable
    assert disk.remove(NAME, all_revisions=True) == ()
    assert "models--acme--model-4bit" not in names(disk.hub)


def test_one_gguf_file_of_a_repository_leaves_the_others(disk: Disk) -> None:
    repository = disk.hub / "models--acme--gguf"
    for quantization in ("Q4_K_M", "Q8_0"):
        write(repository / "blobs" / quantization, qwen_gguf())
        link = repository / "snapshots" / "aaa" / f"model-{quantization}.gguf"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(repository / "blobs" / quantization)
    write(repository / "refs" / "main", "aaa")
    disk.remove("acme/gguf/model-Q4_K_M")
    assert set(disk.models()) == {"acme/gguf/model-Q8_0", "tiny"}
    assert names(repository / "blobs") == {"Q8_0"}
    assert names(repository / "refs") == {"main"}


def test_a_split_gguf_goes_whole_and_an_lm_studio_folder_with_its_publisher(disk: Disk) -> None:
    folder = disk.lmstudio / "acme" / "pair"
    for number in (1, 2):
        write(folder / f"big-{number:05}-of-00002.gguf", qwen_gguf())
    write(folder / "small.gguf", qwen_gguf())
    disk.remove("acme/pair/big")
    assert names(folder) == {"small.gguf"}
    write(folder / "README.md", "about")
    disk.remove("acme/pair/small")
    assert names(disk.lmstudio) == set()
    assert disk.lmstudio.is_dir()


def test_in_a_folder_of_the_user_only_files_of_models_go(disk: Disk) -> None:
    for name, content in FILES.items():
        write(disk.own / "mine" / name, content)
    write(disk.own / "mine" / "diary.odt", "mine")
    write(disk.own / "lone.gguf", qwen_gguf())
    (note,) = disk.remove("mine")
    assert "1 other files" in note
    assert names(disk.own / "mine") == {"diary.odt"}
    disk.remove("lone")
    assert names(disk.own) == {"mine"}


def test_a_link_goes_and_what_it_leads_to_stays(disk: Disk, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    for name, content in FILES.items():
        write(elsewhere / name, content)
    (disk.lmstudio / "acme").mkdir(parents=True)
    (disk.lmstudio / "acme" / "linked").symlink_to(elsewhere)
    (note,) = disk.remove("acme/linked")
    assert "only the link" in note
    assert names(elsewhere) == set(FILES)
    assert names(disk.lmstudio) == set()


def test_what_lies_outside_of_the_roots_or_is_one_is_refused(disk: Disk, tmp_path: Path) -> None:
    outside = tmp_path / "outside" / "linked"
    for name, content in FILES.items():
        write(outside / name, content)
    disk.lmstudio.mkdir()
    (disk.lmstudio / "publisher").symlink_to(outside.parent)
    models = disk.models()
    with pytest.raises(InvalidRequestError, match="does not lie in"):
        plan_removal(models["publisher/linked"], disk.roots, models.values())
    itself = Disk(tmp_path / "second")
    for name, content in FILES.items():
        write(itself.own / name, content)
    with pytest.raises(InvalidRequestError, match="does not lie in"):
        itself.remove("own")
    with pytest.raises(InvalidRequestError, match="part of this program"):
        disk.remove("tiny")


def test_a_repository_that_is_being_downloaded_stays(disk: Disk) -> None:
    repository = disk.snapshot("aaa", {name: f"blob-{name}" for name in FILES})
    with repository_lock(disk.hub, repository.name, NAME), pytest.raises(BusyError):
        disk.remove(NAME)
    assert disk.models()[NAME].usable


def test_a_blob_elsewhere_is_not_deleted(disk: Disk, tmp_path: Path) -> None:
    repository = disk.snapshot("aaa", {name: f"blob-{name}" for name in FILES})
    disk.snapshot("bbb", {"config.json": "blob-config.json"}, main=False)
    far = tmp_path / "far.safetensors"
    link = repository / "snapshots" / "aaa" / "model.safetensors"
    os.replace(repository / "blobs" / "blob-model.safetensors", far)
    link.unlink()
    link.symlink_to(far)
    write(repository / "refs" / "main", "aaa")
    disk.remove(NAME)
    assert far.exists()
