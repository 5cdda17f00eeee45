"""Only a perfect loop over the whole limit ends an answer."""

import random
from collections.abc import Iterable

import pytest

from mcp_local_llm.engines.mlx.batch.endings import CHECK_EVERY, DEFAULT_LIMIT, RepetitionGuard


def ended_after(tokens: Iterable[int], limit: int = DEFAULT_LIMIT) -> int | None:
    guard = RepetitionGuard(limit)
    return next((count for count, token in enumerate(tokens, start=1) if guard.add(token)), None)


@pytest.mark.parametrize("period", [1, 2, 7, 63, 64])
def test_a_loop_ends_within_a_look_of_the_limit(period: int) -> None:
    before = list(range(1000, 1300))
    found = ended_after([*before, *([*range(period)] * 3000)])
    assert found is not None
    assert DEFAULT_LIMIT <= found - len(before) <= DEFAULT_LIMIT + CHECK_EVERY


LEGITIMATE: dict[str, list[int]] = {
    "a block longer than any loop is": [*range(65)] * 100,
    "counting": [token for number in range(2000) for token in (number, 5)],
    "a table whose rows differ in one cell": [t for row in range(400) for t in (1, 2, row, 3, 1, 2, 7, 3, 9)],
    "a thousand zeros, just under the limit": [0, 1] * (DEFAULT_LIMIT // 2 - 1),
    "a long loop with a slip now and then": ([1, 2, 3] * 300 + [4]) * 10,
}


@pytest.mark.parametrize("tokens", LEGITIMATE.values(), ids=LEGITIMATE.keys())
def test_what_is_not_a_perfect_loop_goes_on(tokens: list[int]) -> None:
    assert ended_after(tokens) is None


def test_random_tokens_never_end() -> None:
    source = random.Random(1)
    assert ended_after(source.randrange(3) for _ in range(20_000)) is None


def test_zero_switches_the_guard_off() -> None:
    assert ended_after([7] * 5000, limit=0) is None


def test_a_block_must_fit_eight_times_into_a_small_limit() -> None:
    assert ended_after([*range(26)] * 100, limit=200) is None
    assert ended_after([*range(25)] * 100, limit=200) is not None
