from pathlib import Path

import pytest

from mcp_local_llm.models.find import ModelRoots, default_roots, find_models, folder_warnings
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


def test_gguf_files_in_a_folder_of_their_quantization_are_found_everywhere(tmp_path: Path) -> None:
    hub, studio, extra = tmp_path / "hub", tmp_path / "studio", tmp_path / "extra"
    parts: dict[str, Content] = {f"UD-Q4_K_XL/x-0000{number}-of-00002.gguf": qwen_gguf() for number in (1, 2)}
    place_in_hub(hub, "unsloth/X-GGUF", parts | {"Q8_0/x-Q8_0.gguf": qwen_gguf(), "config.json": "{}"})
    place_flat(studio / "unsloth" / "Y-GGUF", parts)
    place_flat(extra / "Z-GGUF", parts | {"config.json": "{}"})
    place_flat(extra / "team" / "W-GGUF", parts)
    found = find_models(ModelRoots(hub_caches=(hub,), lmstudio=(studio,), extra=(extra,)))
    assert {model.id: model.problems for model in found} == {
        "unsloth/X-GGUF/Q8_0/x-Q8_0": (),
        "unsloth/X-GGUF/UD-Q4_K_XL/x": (),
        "unsloth/Y-GGUF/UD-Q4_K_XL/x": (),
        "Z-GGUF/UD-Q4_K_XL/x": (),
        "team/W-GGUF/UD-Q4_K_XL/x": (),
    }
    assert {model.weight_bytes for model in found} == {qwen_gguf().size, 2 * qwen_gguf().size}


def test_a_part_that_is_missing_in_a_quantization_folder_is_told(tmp_path: Path) -> None:
    place_flat(tmp_path / "m", {"Q4/x-00001-of-00002.gguf": qwen_gguf()})
    (model,) = find_models(ModelRoots(extra=(tmp_path,)))
    assert model.problems == ("partial download: 1 of 2 weight files missing",)


MOVED: dict[str, dict[str, Content]] = {
    "nothing of it is here": {},
    "its config alone": {"config.json": without()["config.json"]},
    "all but the weights": without("model.safetensors"),
}


@pytest.mark.parametrize("case", MOVED)
def test_a_snapshot_serves_on_where_main_has_moved_to_one_that_is_not_whole(case: str, tmp_path: Path) -> None:
    folder = place_in_hub(tmp_path, "some/model", without()).parents[1]
    write(folder / "refs" / "main", "ffff")
    place_flat(folder / "snapshots" / "ffff", MOVED[case])
    (model,) = find_models(ModelRoots(hub_caches=(tmp_path,)), architectures={"qwen2"})
    assert model.usable
    assert model.path.name != "ffff"


def test_the_snapshot_of_main_wins_over_another_sound_one(tmp_path: Path) -> None:
    folder = place_in_hub(tmp_path, "some/model", without()).parents[1]
    write(folder / "refs" / "main", "aaaa")
    place_flat(folder / "snapshots" / "aaaa", without())
    place_flat(folder / "snapshots" / "ffff", without())
    (model,) = find_models(ModelRoots(hub_caches=(tmp_path,)), architectures={"qwen2"})
    assert model.path.name == "aaaa"


@pytest.mark.parametrize("settings", [".lmstudio/settings.json", ".cache/lm-studio/settings.json"])
def test_the_folder_that_lm_studio_downloads_to_is_searched(settings: str, tmp_path: Path) -> None:
    write(tmp_path / settings, {"downloadsFolder": str(tmp_path / "disk"), "developer": {}})
    place_flat(tmp_path / "disk" / "publisher" / "Name-4bit", without())
    place_flat(tmp_path / ".lmstudio" / "models" / "publisher" / "Old-4bit", without())
    found = find_models(default_roots({}, tmp_path), architectures={"qwen2", "qwen3"})
    assert [model.id for model in found] == ["publisher/Old-4bit", "publisher/Name-4bit", "tiny"]


@pytest.mark.parametrize(
    "content",
    [
        *("{", "[1]", '{"downloadsFolder": 7}', '{"downloadsFolder": " "}', "{}"),
        *(r'{"downloadsFolder": "/x\u0000y"}', r'{"downloadsFolder": "/x\ud800"}'),
    ],
)
def test_settings_of_lm_studio_that_name_no_folder_are_passed_over(content: str, tmp_path: Path) -> None:
    write(tmp_path / ".lmstudio" / "settings.json", content)
    assert len(default_roots({}, tmp_path).lmstudio) == 2


def test_models_of_omlx_are_found(tmp_path: Path) -> None:
    place_flat(tmp_path / ".omlx" / "models" / "Flat-4bit", without())
    place_flat(tmp_path / ".omlx" / "models" / "publisher" / "Deep-4bit", without())
    found = find_models(default_roots({}, tmp_path), architectures={"qwen2", "qwen3"})
    assert [model.id for model in found] == ["Flat-4bit", "publisher/Deep-4bit", "tiny"]


def test_a_folder_of_the_settings_that_is_none_is_told_with_what_to_do(tmp_path: Path) -> None:
    write(tmp_path / "file", "")
    (tmp_path / "sound").mkdir()
    names = [tmp_path / "sound", tmp_path / "gone", tmp_path / "file", Path("${HOME}/models"), Path("my/models")]
    gone, file, variable, relative, two = folder_warnings([*names, Path("/srv/a,/srv/b")])
    assert f"{tmp_path / 'gone'} of the settings (`folders`) does not exist." in gone
    assert "is a file" in file
    assert "variables are not expanded" in variable
    assert "~/" in variable
    assert "the path is relative" in relative
    assert "separated by ':'" in two
