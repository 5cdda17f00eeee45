from pathlib import Path

import pytest

from mcp_local_llm.models.find import ModelRoots, default_roots, find_models
from tests.model_cache import (
    TINY,
    Content,
    place_in_hub,
    place_tiny,
    qwen_gguf,
    write,
)
from tests.models.single import without


def test_a_repository_of_which_nothing_was_downloaded_is_none(tmp_path: Path) -> None:
    (tmp_path / "models--some--model" / ".no_exist").mkdir(parents=True)
    write(tmp_path / "datasets--some--data" / "snapshots" / "1" / "config.json", "{}")
    assert find_models(ModelRoots(hub_caches=(tmp_path, tmp_path / "none"))) == ()


def test_the_revision_that_main_points_to_is_described_else_the_newest(tmp_path: Path) -> None:
    folder = place_in_hub(tmp_path, "some/model", without()).parents[1]
    write(folder / "snapshots" / "ffff" / "config.json", "{}")
    (main,) = find_models(ModelRoots(hub_caches=(tmp_path,)), architectures={"qwen2"})
    assert main.usable
    (folder / "refs" / "main").unlink()
    (newest,) = find_models(ModelRoots(hub_caches=(tmp_path,)), architectures={"qwen2"})
    assert newest.path.name == "ffff"


def place_flat(folder: Path, files: dict[str, Content]) -> None:
    for name, content in files.items():
        write(folder / name, content)


def test_lm_studio_and_extra_folders_name_models_by_their_folders(tmp_path: Path) -> None:
    studio, extra, single = tmp_path / "studio", tmp_path / "extra", tmp_path / "single-model"
    place_flat(studio / "publisher" / "Name-4bit", without())
    place_flat(studio / "publisher" / "Name-GGUF", {"Name-Q4_K_M.gguf": qwen_gguf(), "mmproj-Name.gguf": b""})
    place_flat(extra / "mine", without())
    place_flat(extra / "team" / "ours", without())
    place_flat(extra, {"loose.gguf": qwen_gguf(), "notes.txt": "not a model"})
    place_in_hub(extra, "hub/theirs", without())
    place_flat(single, without())
    roots = ModelRoots(lmstudio=(studio,), extra=(extra, single))
    found = {model.id: (model.source, model.usable) for model in find_models(roots, architectures={"qwen2"})}
    assert found == {
        "publisher/Name-4bit": ("lmstudio", True),
        "publisher/Name-GGUF/Name-Q4_K_M": ("lmstudio", True),
        "loose": ("folder", True),
        "hub/theirs": ("folder", True),
        "mine": ("folder", True),
        "team/ours": ("folder", True),
        "single-model": ("folder", True),
    }


def test_of_two_models_with_one_id_the_sound_one_is_listed_else_the_first(tmp_path: Path) -> None:
    first, second, third = tmp_path / "1", tmp_path / "2", tmp_path / "3"
    place_in_hub(first, "some/model", without("model.safetensors"))
    place_in_hub(second, "some/model", without())
    place_in_hub(third, "some/model", without())
    (model,) = find_models(ModelRoots(hub_caches=(first, second, third)), architectures={"qwen2"})
    assert model.usable
    assert model.path.is_relative_to(second)


def test_a_placed_copy_of_the_built_in_model_is_an_ordinary_model(tmp_path: Path) -> None:
    place_tiny(tmp_path, "mlx-community/Tiny-1M-bf16")
    (model,) = find_models(ModelRoots(hub_caches=(tmp_path,)))
    assert model.usable
    assert not model.diagnostic
    assert model.weight_bytes == (TINY / "model.safetensors").stat().st_size


HOME = Path("/home/me")
DEFAULT_HUB = HOME / ".cache/huggingface/hub"


@pytest.mark.parametrize(
    ("environ", "caches"),
    [
        ({}, (DEFAULT_HUB,)),
        ({"HF_HOME": "/data/hf"}, (Path("/data/hf/hub"), DEFAULT_HUB)),
        ({"HF_HOME": "/data/hf", "HF_HUB_CACHE": "/data/hub"}, (Path("/data/hub"), DEFAULT_HUB)),
        ({"HUGGINGFACE_HUB_CACHE": "/data/old"}, (Path("/data/old"), DEFAULT_HUB)),
        ({"HF_HUB_CACHE": "~/models"}, (HOME / "models", DEFAULT_HUB)),
        ({"XDG_CACHE_HOME": "/xdg"}, (Path("/xdg/huggingface/hub"), DEFAULT_HUB)),
        ({"HF_HOME": ""}, (DEFAULT_HUB,)),
    ],
)
def test_the_hub_cache_lies_where_its_variables_say(environ: dict[str, str], caches: tuple[Path, ...]) -> None:
    assert default_roots(environ, HOME).hub_caches == caches


def test_the_other_default_roots_belong_to_the_home_folder() -> None:
    roots = default_roots({}, HOME, [Path("~/mine"), Path("/srv/models")])
    assert roots.lmstudio == (HOME / ".lmstudio/models", HOME / ".cache/lm-studio/models")
    assert roots.extra == (HOME / "mine", Path("/srv/models"))
    assert roots.builtin == TINY
