"""Which prefix is found, and which goes when room is needed."""

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import pytest
from mlx_lm.models.cache import ArraysCache, ChunkedKVCache, ConcatenateKVCache, KVCache, QuantizedKVCache

from mcp_local_llm.engines.mlx.load.kv_cache import Layers, held_bytes, trimmable_for_good
from mcp_local_llm.engines.mlx.prefix.cache import PrefixCache
from mcp_local_llm.engines.mlx.prompt.common_prefix import alike

ENTRY_BYTES = 2 * 256 * 4
"""Keys and values of 256 places, one head of one number each, 4 bytes."""


def plain(tokens: int) -> Layers:
    """A cache of one attention layer that holds the numbers 0, 1, 2 ..."""
    cache: Any = KVCache()
    numbers: Any = mx.array([[[[float(number)] for number in range(tokens)]]])
    cache.update_and_fetch(numbers, numbers)
    return [cache]


def quantized(tokens: int) -> Layers:
    """A cache of one quantized attention layer that holds the numbers 0, 1, 2 ..., a group of each."""
    cache: Any = QuantizedKVCache(group_size=32, bits=8)
    numbers: Any = mx.array([[[[float(number)] * 32 for number in range(tokens)]]])
    cache.update_and_fetch(numbers, numbers)
    return [cache]


def state(tokens: int) -> Layers:
    """A cache of one layer with a state, which cannot be cut back."""
    cache: Any = ArraysCache(1)
    cache[0] = mx.full((1, 4), float(tokens))
    return [cache]


@pytest.fixture
def cache() -> PrefixCache:
    return PrefixCache(100 * ENTRY_BYTES)


def test_the_longest_common_beginning_is_found_and_the_rest_is_left_to_compute(cache: PrefixCache) -> None:
    cache.put([1, 2, 3, 4, 5], plain(5))
    cache.put([1, 2, 9], plain(3))
    layers, rest = cache.take([1, 2, 3, 4, 7, 8])
    assert rest == [7, 8]
    assert layers is not None
    assert layers[0].offset == 4
    assert layers[0].keys[0, 0, :, 0].tolist() == [0, 1, 2, 3]


def test_what_was_taken_can_be_written_without_changing_what_is_kept(cache: PrefixCache) -> None:
    cache.put([1, 2, 3], plain(3))
    taken, _ = cache.take([1, 2, 3, 4])
    assert taken is not None
    taken[0].update_and_fetch(mx.full((1, 1, 1, 1), 77.0), mx.full((1, 1, 1, 1), 77.0))
    again, _ = cache.take([1, 2, 3, 4])
    assert again is not None
    assert again[0].offset == 3
    assert again[0].keys[0, 0, :3, 0].tolist() == [0, 1, 2]


def test_a_quantized_cache_is_cut_back_as_a_plain_one(cache: PrefixCache) -> None:
    kept = quantized(5)
    assert trimmable_for_good(kept)
    cache.put([1, 2, 3, 4, 5], kept)
    taken, rest = cache.take([1, 2, 3, 9, 9])
    assert rest == [9, 9]
    assert taken is not None
    assert [part.shape[-2] for part in taken[0].keys] == [3, 3, 3]
    taken[0].update_and_fetch(mx.full((1, 1, 1, 32), 77.0), mx.full((1, 1, 1, 32), 77.0))
    for layers, numbers in ((taken, [0, 1, 2, 77]), (kept, [0, 1, 2, 3, 4])):
        keys, _ = layers[0].keys_and_values()
        assert mx.dequantize(*keys, group_size=32, bits=8)[0, 0, :, 0].tolist() == numbers
    assert held_bytes([QuantizedKVCache(group_size=32, bits=8)]) == 0


def test_one_token_is_always_left_to_compute(cache: PrefixCache) -> None:
    cache.put([1, 2, 3], plain(3))
    assert cache.take([1, 2, 3])[1] == [3]
    assert cache.take([1])[1] == [1]
    assert cache.take([8, 9]) == (None, [8, 9])


def test_a_state_serves_only_what_continues_it(cache: PrefixCache) -> None:
    cache.put([1, 2], state(2), "system")
    cache.put([1, 2, 3, 4], state(4), "user")
    assert cache.take([1, 2, 3, 4, 5])[1] == [5]
    assert cache.take([1, 2, 3, 9])[1] == [3, 9]
    # The whole prompt is known, but its last token must be computed, and the state cannot go back to before it.
    assert cache.take([1, 2, 3, 4])[1] == [3, 4]


def joined(tokens: int) -> Layers:
    """A cache that says it can be cut back, and joins what comes next to all that it ever had."""
    cache: Any = ConcatenateKVCache()
    numbers: Any = mx.zeros((1, 1, tokens, 1))
    cache.update_and_fetch(numbers, numbers)
    return [cache]


def without_front(tokens: int) -> Layers:
    """A cache whose chunk was full, so that its first token is gone."""
    cache: Any = ChunkedKVCache(chunk_size=tokens - 1)
    numbers: Any = mx.zeros((1, 1, tokens, 1))
    cache.update_and_fetch(numbers, numbers)
    cache.maybe_trim_front()
    return [cache]


@pytest.mark.parametrize("layers", [joined, without_front])
def test_caches_that_cannot_be_cut_back_whatever_they_say_serve_only_what_continues_them(
    cache: PrefixCache, layers: Callable[[int], Layers]
) -> None:
    cache.put([1, 2, 3, 4], layers(4))
    assert cache.take([1, 2, 3, 9])[1] == [1, 2, 3, 9]
    assert cache.take([1, 2, 3, 4, 5])[1] == [5]


def test_a_longer_entry_replaces_the_shorter_ones_that_it_can_serve(cache: PrefixCache) -> None:
    cache.put([1, 2], plain(2))
    cache.put([1, 2, 3], plain(3))
    cache.put([1, 2], plain(2))
    assert cache.nbytes == ENTRY_BYTES


def test_the_least_recently_used_goes_first(cache: PrefixCache) -> None:
    for first in (1, 2, 3):
        cache.put([first, 0], plain(2))
    cache.take([1, 0, 5])
    cache.keep(2 * ENTRY_BYTES)
    assert cache.longest([1, 0, 5]) == 2
    assert cache.longest([2, 0, 5]) == 0
    assert cache.longest([3, 0, 5]) == 2


def test_running_requests_take_their_share_of_the_budget() -> None:
    cache = PrefixCache(3 * ENTRY_BYTES)
    for first in (1, 2, 3, 4):
        cache.put([first, 0], plain(2))
    assert cache.nbytes == 3 * ENTRY_BYTES
    cache.make_room(2 * ENTRY_BYTES)
    assert cache.nbytes == ENTRY_BYTES


@pytest.mark.parametrize(
    ("one", "other", "length"), [("", "a", 0), ("abc", "abd", 2), ("abc", "abc", 3), ("abc", "abcd", 3), ("x", "y", 0)]
)
def test_texts_are_compared_from_their_beginning(one: str, other: str, length: int) -> None:
    assert alike(one, other) == length
    assert alike(list(one.encode()), list(other.encode())) == length


def tokens(first: int, length: int) -> list[int]:
    return [first, *range(2, length + 1)]


@pytest.mark.parametrize("layers", [plain, state])
def test_what_a_conversation_left_behind_goes_before_another_conversation(layers: Callable[[int], Layers]) -> None:
    cache = PrefixCache(2**20)
    main, sub = tokens(1, 200), tokens(5, 100)
    cache.put(main, layers(200), "user", 200)
    cache.put(sub, layers(100), "user", 100)
    # The subagent's next prompt holds its answer in other words, so that this entry does not replace the first.
    later = [*sub, *range(900, 1000)]
    cache.put([*sub, 7, 7], layers(102), "answer", 100)
    cache.put(later, layers(200), "user", 200)
    cache.keep(cache.nbytes - 1)
    assert cache.longest(main) == 200
    assert cache.longest(later) == 200


def test_the_system_part_stays_whatever_becomes_of_a_conversation() -> None:
    cache = PrefixCache(2**20)
    conversation = tokens(1, 200)
    cache.put(conversation[:100], state(100), "system", 200)
    cache.put(conversation[:150], state(150), "user", 150)
    cache.put(conversation, state(200), "user", 200)
    cache.keep(cache.nbytes - 1)
    assert cache.longest([*conversation[:100], 9]) == 100
    assert cache.longest([*conversation[:150], 9]) == 100


def test_an_entry_larger_than_all_room_evicts_nothing() -> None:
    cache = PrefixCache(2 * ENTRY_BYTES)
    cache.put([1, 2], plain(2))
    cache.put(tokens(7, 600), plain(600))
    assert cache.longest([1, 2]) == 2
