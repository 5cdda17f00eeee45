"""Which prefix is found, and which goes when room is needed."""

from typing import Any

import mlx.core as mx
import pytest
from mlx_lm.models.cache import ArraysCache, KVCache

from mcp_local_llm.engines.mlx.alike import alike
from mcp_local_llm.engines.mlx.prefix_cache import Layers, PrefixCache

ENTRY_BYTES = 2 * 256 * 4
"""Keys and values of 256 places, one head of one number each, 4 bytes."""


def plain(tokens: int) -> Layers:
    """A cache of one attention layer that holds the numbers 0, 1, 2 ..."""
    cache: Any = KVCache()
    numbers: Any = mx.array([[[[float(number)] for number in range(tokens)]]])
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
