"""Which prefixes are worth a file, which files are worth reading, and that they come back as they were."""

from pathlib import Path
from typing import Any

import mlx.core
import mlx.utils
import mlx_lm.models.cache
import pytest
from mlx_lm.models.cache import (
    ArraysCache,
    CacheList,
    ChunkedKVCache,
    KVCache,
    QuantizedKVCache,
    RotatingKVCache,
)

from mcp_local_llm.engines.mlx.load.kv_cache import Layers
from mcp_local_llm.engines.mlx.prefix.cache import PrefixCache, PrefixEntry
from mcp_local_llm.engines.mlx.prefix.disk import RESTORED, PrefixDisk
from mcp_local_llm.engines.mlx.prefix.disk_files import PrefixFiles
from tests.engines.mlx.kept_prefixes import LENGTH, entry, files_of, key, never

# mlx and mlx-lm declare their types in part only.
mx: Any = mlx.core
utils: Any = mlx.utils
caches: Any = mlx_lm.models.cache


def values(found: PrefixEntry | None) -> list[float]:
    assert found is not None
    layer = found.layers[0]
    return layer.keys[0, 0, : layer.offset, 0].tolist()


def test_a_prefix_is_cut_to_what_the_prompt_has_in_common_with_it(disk: PrefixDisk) -> None:
    assert disk.save(entry(), never)
    prompt = key(1500) + key(500)
    found = disk.take(prompt, 1999, 0)
    assert values(found) == list(range(1500))
    assert found is not None
    assert (found.length, found.key, found.kind) == (1500, prompt[:6000], "user")
    assert found.nbytes == 2 * 4 * 1500, "what was cut away is still held"


def test_a_state_serves_only_what_continues_it(disk: PrefixDisk) -> None:
    assert disk.save(entry(trimmable=False), never)
    assert disk.take(key(LENGTH - 1), LENGTH - 2, 0) is None
    assert disk.take(key(LENGTH), LENGTH - 1, 0) is None, "one token must be left to compute"
    found = disk.take(key(LENGTH + 1), LENGTH, 0)
    assert found is not None
    assert (found.length, found.trimmable) == (LENGTH, False)
    assert found.layers[0][0].tolist() == [[LENGTH] * 4]
    assert found.layers[0][1] is None


def test_a_file_is_read_only_for_much_more_than_memory_has(disk: PrefixDisk) -> None:
    assert disk.save(entry(), never)
    assert disk.take(key(3000), 2999, LENGTH - 1024) is not None
    assert disk.take(key(3000), 2999, LENGTH - 1023) is None
    assert disk.save(entry(8000, first=7), never)
    assert disk.take(key(3999, first=7), 3999, 0) is None, "less than half of the file is of use"
    assert disk.take(key(4000, first=7), 4000, 0) is not None


def test_short_prefixes_are_not_written(disk: PrefixDisk, root: Path) -> None:
    assert disk.save(entry(1023), never)
    assert files_of(root) == []
    assert disk.save(entry(1024), never)
    assert len(files_of(root)) == 1


def test_a_conversation_is_written_again_once_it_has_grown_by_a_quarter_and_takes_one_file(
    disk: PrefixDisk, root: Path
) -> None:
    assert disk.save(entry(8000), never)
    (first,) = files_of(root)
    assert disk.save(entry(9999), never)
    assert files_of(root) == [first]
    assert disk.save(entry(10_000), never)
    (second,) = files_of(root)
    assert second != first
    assert disk.save(entry(8000), never)
    assert files_of(root) == [second]


def test_a_short_prefix_stays_beside_one_that_is_too_long_to_read_for_it(disk: PrefixDisk, root: Path) -> None:
    assert disk.save(entry(2000), never)
    assert disk.save(entry(8000), never)
    assert len(files_of(root)) == 2


def test_what_is_larger_than_the_limit_is_not_written_and_the_log_says_so_once(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = PrefixDisk(PrefixFiles(root, "model", 1000))
    assert disk.save(entry(), never)
    assert disk.save(entry(), never)
    assert files_of(root) == []
    (message,) = caplog.messages
    assert "prefix_disk_mb" in message


def test_what_memory_has_no_room_for_can_be_written_until_the_next_request_needs_the_room(
    disk: PrefixDisk, root: Path
) -> None:
    memory = PrefixCache(0, disk)
    for kept in (True, False):
        memory.put([2 - kept, *range(2, LENGTH + 1)], entry().layers)
        assert (memory.nbytes, memory.leaving) == (0, True)
        if not kept:
            memory.drop_evicted()
        while memory.unsaved:
            memory.save_next(never)
        assert not memory.leaving
    assert len(files_of(root)) == 1
    assert memory.take([*range(1, LENGTH + 2)])[1] == [LENGTH + 1]
    assert memory.take([2, *range(2, LENGTH + 2)])[0] is None


def made_of(kind: type[Any]) -> Any:
    """A cache of `kind` that has seen 100 tokens."""
    numbers = mx.random.normal((1, 2, 100, 64))
    match kind.__name__:
        case "ArraysCache":
            layer: Any = ArraysCache(2)
            layer[0] = numbers
            return layer
        case "QuantizedKVCache":
            layer = QuantizedKVCache(group_size=32, bits=4)
        case "RotatingKVCache":
            layer = RotatingKVCache(max_size=64, keep=4)
        case "ChunkedKVCache":
            layer = ChunkedKVCache(chunk_size=64)
        case _:
            layer = kind()
    layer.update_and_fetch(numbers, numbers)
    return layer


@pytest.mark.parametrize("kind", RESTORED)
def test_mlx_lm_gives_caches_back_as_they_were_also_in_a_list_and_empty(tmp_path: Path, kind: type[Any]) -> None:
    path = str(tmp_path / "prefix.safetensors")
    layers: Layers = [made_of(kind), CacheList(KVCache(), made_of(kind)), KVCache()]
    caches.save_prompt_cache(path, layers)
    loaded: Layers = caches.load_prompt_cache(path)
    assert [type(layer) for layer in loaded] == [kind, CacheList, KVCache]
    assert [type(layer) for layer in loaded[1].caches] == [KVCache, kind]
    before, after = (dict(utils.tree_flatten([layer.state for layer in one])) for one in (layers, loaded))
    assert before.keys() == after.keys()
    for place, value in before.items():
        same = mx.array_equal(value, after[place]).item() if hasattr(value, "shape") else value == after[place]
        assert same, place
