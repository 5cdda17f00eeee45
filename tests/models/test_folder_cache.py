"""Folders that look the same are not read again; every change that can be seen from outside is seen."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_local_llm.models.find import FolderCache, ModelRoots, find_models
from mcp_local_llm.values.model import ModelInfo
from tests.model_cache import QWEN_7B, TINY, Packing, model_files, place_in_hub, place_tiny, qwen_gguf, write


def later() -> int:
    """A clock by which everything was written long ago."""
    return time.time_ns() + 10 * 10**9


class Counting(FolderCache):
    """Counts the folders that are really read."""

    def __init__(self, clock_ns: Callable[[], int] = later) -> None:
        super().__init__(clock_ns)
        self.read: list[str] = []

    def models(self, folder: Path, key: object, read: Callable[[], tuple[ModelInfo, ...]]) -> tuple[ModelInfo, ...]:
        def counted() -> tuple[ModelInfo, ...]:
            self.read.append(folder.name)
            return read()

        return super().models(folder, key, counted)

    def reads(self) -> int:
        """How many folders were read since the last question."""
        count = len(self.read)
        self.read.clear()
        return count


def test_forty_models_are_read_once(tmp_path: Path) -> None:
    for number in range(40):
        place_tiny(tmp_path / "hub", f"org/Model-{number}B")
    roots, cache = ModelRoots(hub_caches=(tmp_path / "hub",)), Counting()
    first = find_models(roots, cache=cache)
    assert (len(first), cache.reads()) == (40, 40)
    assert find_models(roots, cache=cache) == first
    assert cache.reads() == 0


def new_content(folder: Path) -> None:
    (folder / "config.json").write_text("{}")


def same_size(folder: Path) -> None:
    file = folder / "config.json"
    before = file.stat()
    file.write_text(file.read_text().replace("qwen2", "qwen3", 1))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


def same_size_and_time(folder: Path) -> None:
    file = folder / "config.json"
    before = file.stat()
    other = folder / "other"
    other.write_bytes(file.read_bytes())
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(file)


def one_more_file(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ tools }}")


def one_file_less(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def another_name(folder: Path) -> None:
    (folder / "tokenizer.json").rename(folder / "tokenizer.model")


def closed(folder: Path) -> None:
    (folder / "config.json").chmod(0)


def weights_cut(folder: Path) -> None:
    os.truncate(next(folder.glob("*.safetensors")), 100)


def a_fifo(folder: Path) -> None:
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")


def a_dead_link(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to("nowhere")


CHANGES = [
    new_content, same_size, same_size_and_time, one_more_file, one_file_less, another_name, closed, weights_cut, a_fifo,
    a_dead_link,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_folder_that_changed_is_read_again_and_no_other(change: Callable[[Path], None], tmp_path: Path) -> None:
    for name in ("changed", "same"):
        for file, content in model_files(QWEN_7B, Packing(4)).items():
            write(tmp_path / name / file, content)
    roots, cache = ModelRoots(extra=(tmp_path,)), Counting()
    find_models(roots, cache=cache, architectures={"qwen2"})
    cache.reads()
    change(tmp_path / "changed")
    again = find_models(roots, cache=cache, architectures={"qwen2"})
    assert cache.read == ["changed"]
    assert again == find_models(roots, architectures={"qwen2"})


def another_quantization(folder: Path) -> None:
    write(folder / "UD-Q4_K_XL" / "x.gguf", qwen_gguf())


def another_variant(folder: Path) -> None:
    write(folder / "additional_chat_templates" / "tool_use.jinja", "{{ tools }} and more")


@pytest.mark.parametrize("change", [another_quantization, another_variant])
def test_a_change_in_a_subfolder_of_a_model_is_seen(change: Callable[[Path], None], tmp_path: Path) -> None:
    for file, content in model_files(QWEN_7B, Packing(4)).items():
        write(tmp_path / "one" / file, content)
    write(tmp_path / "one" / "UD-Q4_K_XL" / "x.gguf", "half")
    write(tmp_path / "one" / "additional_chat_templates" / "tool_use.jinja", "{{ tools }}")
    roots, cache = ModelRoots(extra=(tmp_path,)), Counting()
    before = find_models(roots, cache=cache, architectures={"qwen2"})
    change(tmp_path / "one")
    again = find_models(roots, cache=cache, architectures={"qwen2"})
    assert again != before
    assert again == find_models(roots, architectures={"qwen2"})


def test_a_search_lists_no_folder_again_while_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place_tiny(tmp_path / "hub", "org/one")
    extra, late = tmp_path / "extra", tmp_path / "extra" / "empty" / "late"
    late.parent.mkdir(parents=True)
    roots, cache = ModelRoots(hub_caches=(tmp_path / "hub",), extra=(extra, tmp_path / "none")), Counting()
    found = find_models(roots, cache=cache)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "iterdir", None)
        patched.setattr(os, "scandir", None)
        assert find_models(roots, cache=cache) is found
    # Folders that were empty, or not there at all, are watched as well.
    shutil.copytree(TINY, late)
    assert [model.id for model in find_models(roots, cache=cache)] == ["org/one", "empty/late"]
    shutil.copytree(TINY, tmp_path / "none")
    assert [model.id for model in find_models(roots, cache=cache)] == ["org/one", "empty/late", "none"]
    (tmp_path / "hub" / "models--org--one" / "refs" / "main").write_text("another")
    assert find_models(roots, cache=cache)[0].id == "org/one"
    shutil.rmtree(tmp_path / "hub" / "models--org--one" / "snapshots")
    assert [model.id for model in find_models(roots, cache=cache)] == ["empty/late", "none"]


def test_a_blob_behind_a_link_counts(tmp_path: Path) -> None:
    snapshot = place_in_hub(tmp_path, "org/model", model_files(QWEN_7B, Packing(4)))
    roots, cache = ModelRoots(hub_caches=(tmp_path,)), Counting()
    find_models(roots, cache=cache)
    (snapshot / "config.json").resolve().write_text("{")
    (model,) = find_models(roots, cache=cache)
    assert "config.json is not valid JSON (line 1)" in model.problems


def test_models_that_come_and_go_are_seen(tmp_path: Path) -> None:
    roots, cache = ModelRoots(hub_caches=(tmp_path,)), Counting()
    place_tiny(tmp_path, "org/one")
    assert [model.id for model in find_models(roots, cache=cache)] == ["org/one"]
    place_tiny(tmp_path, "org/two")
    assert {model.id for model in find_models(roots, cache=cache)} == {"org/one", "org/two"}
    shutil.rmtree(tmp_path / "models--org--one")
    assert [model.id for model in find_models(roots, cache=cache)] == ["org/two"]
    cache.reads()
    place_tiny(tmp_path, "org/one")
    find_models(roots, cache=cache)
    assert cache.reads() == 1


def test_a_change_is_seen_though_the_folder_had_just_been_changed_when_it_was_read(tmp_path: Path) -> None:
    config = tmp_path / "m" / "config.json"
    shutil.copytree(TINY, config.parent)
    written, now = json.loads(config.read_text()), time.time_ns()
    for path in (*config.parent.rglob("*"), config.parent, tmp_path):
        os.utime(path, ns=(0, now - 10**12))
    roots, cache = ModelRoots(extra=(tmp_path,)), Counting(lambda: now)
    for window, age in ((1111, 10**9), (2222, 10**8)):
        config.write_text(json.dumps({**written, "max_position_embeddings": window}))
        os.utime(config, ns=(0, now - age))
        assert [model.context_length for model in find_models(roots, cache=cache)] == [window]


def test_a_model_that_comes_while_others_are_read_is_seen_by_the_next_search(tmp_path: Path) -> None:
    class Late(Counting):
        def models(self, folder: Path, key: object, read: Callable[[], tuple[ModelInfo, ...]]) -> tuple[ModelInfo, ...]:
            if not (tmp_path / "two").exists():
                shutil.copytree(TINY, tmp_path / "two")
            return super().models(folder, key, read)

    shutil.copytree(TINY, tmp_path / "one")
    roots, cache = ModelRoots(extra=(tmp_path,)), Late()
    assert [model.id for model in find_models(roots, cache=cache)] == ["one"]
    assert [model.id for model in find_models(roots, cache=cache)] == ["one", "two"]


@pytest.mark.parametrize("place", ["model", "publisher/model"])
def test_a_model_on_a_disk_that_is_mounted_later_is_found_behind_its_link(place: str, tmp_path: Path) -> None:
    link, disk = tmp_path / "models" / place, tmp_path / "disk"
    link.parent.mkdir(parents=True)
    link.symlink_to(disk)
    roots, cache = ModelRoots(extra=(tmp_path / "models",)), Counting()
    assert find_models(roots, cache=cache) == ()
    shutil.copytree(TINY, disk)
    assert [model.id for model in find_models(roots, cache=cache)] == [place]
    shutil.rmtree(disk)
    assert find_models(roots, cache=cache) == ()


def test_an_unfinished_download_beside_the_folder_counts(tmp_path: Path) -> None:
    place_in_hub(tmp_path, "org/model", {"config.json": "{}"})
    roots, cache = ModelRoots(hub_caches=(tmp_path,)), Counting()
    find_models(roots, cache=cache)
    write(tmp_path / "models--org--model" / "blobs" / "abc.incomplete", b"half")
    (model,) = find_models(roots, cache=cache)
    assert any("1 half-downloaded" in problem for problem in model.problems)


def test_other_architectures_are_another_question(tmp_path: Path) -> None:
    place_in_hub(tmp_path, "org/model", model_files(QWEN_7B, Packing(4)))
    roots, cache = ModelRoots(hub_caches=(tmp_path,)), Counting()
    (known,) = find_models(roots, cache=cache, architectures={"qwen2"})
    (unknown,) = find_models(roots, cache=cache, architectures={"llama"})
    assert (known.usable, unknown.usable) == (True, False)


def test_a_file_that_was_written_just_now_is_not_trusted_to_stay(tmp_path: Path) -> None:
    # Two writes within one tick of the file system's clock leave the same time behind.
    place_tiny(tmp_path, "org/model")
    roots, cache = ModelRoots(hub_caches=(tmp_path,)), Counting(time.time_ns)
    find_models(roots, cache=cache)
    find_models(roots, cache=cache)
    assert cache.reads() == 2


@pytest.mark.parametrize(
    "name",
    [
        *("tokenizer.json", "config.json", "generation_config.json", "model.safetensors", "chat_template.jinja"),
        "additional_chat_templates/tool_use.jinja",
    ],
)
def test_a_model_file_that_is_no_regular_file_is_a_problem_and_holds_nothing_up(name: str, tmp_path: Path) -> None:
    snapshot = place_tiny(tmp_path, "org/model")
    (snapshot / name).parent.mkdir(exist_ok=True)
    (snapshot / name).unlink(missing_ok=True)
    os.mkfifo(snapshot / name)
    (model,) = find_models(ModelRoots(hub_caches=(tmp_path,)))
    told = f"{Path(name).name} is not a regular file"
    assert [problem for problem in model.problems if problem.startswith(told)], model.problems
