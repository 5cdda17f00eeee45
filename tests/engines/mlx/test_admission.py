"""Whether one request fits, and what gives way for it: pure numbers."""

import pytest

from mcp_local_llm.engines.mlx.batch.admission import LEAST_ANSWER, FreeMemory, RequestPlan, kv_budget, plan_request
from mcp_local_llm.engines.mlx.load.shape import NetworkShape
from mcp_local_llm.values.errors import InsufficientMemoryError

MIB = 2**20
SHAPE = NetworkShape(kv_bytes_per_token=MIB // 8, hidden=1024, intermediate=4096, heads=16, head_dim=64, fused=True)
"""1000 tokens of KV are 125 MiB; a prefill step of 2048 takes 96 MiB, one of 128 takes 6."""


def plan(memory: FreeMemory, prompt_tokens: int = 4000, max_tokens: int = 1000, *, asked: bool = True) -> RequestPlan:
    return plan_request(prompt_tokens, max_tokens, asked=asked, shape=SHAPE, memory=memory, model="some-model")


def test_a_request_that_fits_takes_the_largest_step_and_leaves_the_kept_prefixes() -> None:
    fitting = plan(FreeMemory(free=2000 * MIB, prefixes=500 * MIB))
    assert fitting == RequestPlan(2048, 1000, 625 * MIB, 500 * MIB)


@pytest.mark.parametrize(("spare", "step"), [(96, 2048), (95, 1024), (47, 512), (23, 256), (11, 128), (6, 128)])
def test_the_step_shrinks_first(spare: int, step: int) -> None:
    fitting = plan(FreeMemory(free=(625 + spare) * MIB, prefixes=500 * MIB))
    assert (fitting.prefill_step, fitting.keep_prefixes) == (step, 500 * MIB)


def test_then_kept_prefixes_go_as_far_as_they_must() -> None:
    fitting = plan(FreeMemory(free=600 * MIB, prefixes=500 * MIB))
    assert fitting.prefill_step == 128
    assert fitting.keep_prefixes == (500 - 31) * MIB
    assert not fitting.waits


def test_a_request_that_fits_only_without_the_running_ones_waits_for_them() -> None:
    assert plan(FreeMemory(free=500 * MIB, promised=100 * MIB, live=400 * MIB)).waits


def test_what_running_requests_will_still_take_is_not_free() -> None:
    assert not plan(FreeMemory(free=800 * MIB)).waits
    assert plan(FreeMemory(free=800 * MIB, promised=300 * MIB, live=400 * MIB)).waits


def test_a_limit_that_the_caller_did_not_name_shrinks_to_what_fits() -> None:
    shrunk = plan(FreeMemory(free=506 * MIB + 300 * MIB // 8), asked=False)
    assert shrunk.max_tokens == 300
    assert shrunk.kv_bytes == 4300 * MIB // 8


@pytest.mark.parametrize(("asked", "extra"), [(True, 300), (False, LEAST_ANSWER - 1)])
def test_what_cannot_fit_is_refused_with_the_numbers(asked: bool, extra: int) -> None:
    with pytest.raises(InsufficientMemoryError) as raised:
        plan(FreeMemory(free=506 * MIB + extra * MIB // 8), asked=asked)
    message = str(raised.value)
    for part in ("4,000 tokens", "max_tokens 1,000", "655.4 MB of KV cache", "6.3 MB", "some-model"):
        assert part in message
    assert ("Lower max_tokens to 300" in message) is asked


def test_an_attention_that_writes_its_scores_needs_more_for_a_longer_prompt() -> None:
    fused = NetworkShape(heads=16, fused=True)
    written = NetworkShape(heads=16, fused=False)
    assert fused.prefill_bytes(512, 1000) == fused.prefill_bytes(512, 8000)
    assert written.prefill_bytes(512, 8000) - fused.prefill_bytes(512, 8000) == 4 * 16 * 512 * 8000


def test_keys_and_values_that_are_quantized_later_lie_there_unquantized_for_a_step() -> None:
    plain, later = NetworkShape(fused=True), NetworkShape(fused=True, fresh_kv_bytes=1000)
    assert later.prefill_bytes(512, 8000) - plain.prefill_bytes(512, 8000) == 512 * 1000


@pytest.mark.parametrize(
    ("free", "asked", "budget"),
    [(4 * 2**30, None, 2**30), (10 * MIB, None, 256 * MIB), (2**40, None, 8 * 2**30), (2**40, 5, 5), (2**40, 0, 0)],
)
def test_the_kv_budget_is_a_share_of_what_is_free_unless_it_is_set(free: int, asked: int | None, budget: int) -> None:
    assert kv_budget(free, asked) == budget
