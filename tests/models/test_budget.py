from pathlib import Path

import pytest

from mcp_local_llm.models.fit import GIB, LoadPlan, nearest_smaller, plan_load, published_rule, require_fit
from mcp_local_llm.models.speed import Speed, estimate_speed
from mcp_local_llm.values.errors import InsufficientMemoryError
from mcp_local_llm.values.machine import Memory
from mcp_local_llm.values.model import ModelFormat, ModelInfo

MAC_16 = Memory(16 * GIB, 11 * GIB, 16 * GIB * 2 // 3)
MAC_32 = Memory(32 * GIB, 26 * GIB, 32 * GIB * 2 // 3)
MAC_64 = Memory(64 * GIB, 55 * GIB, 48 * GIB)
MAC_128 = Memory(128 * GIB, 110 * GIB, 96 * GIB)

CODER_7B, CODER_14B = "Qwen2.5-Coder-7B-Instruct-4bit", "Qwen2.5-Coder-14B-Instruct-6bit"
CODER_32B_4, CODER_32B_8 = "Qwen2.5-Coder-32B-Instruct-4bit", "Qwen2.5-Coder-32B-Instruct-8bit"
MOE, OSS = "Qwen3-Coder-30B-A3B-Instruct-4bit", "gpt-oss-20b-MXFP4-Q8"


def named(models: tuple[ModelInfo, ...], name: str) -> ModelInfo:
    return next(model for model in models if model.id.rpartition("/")[2] == name)


# model, machine, context: fits, largest context
PLANS: list[tuple[str, Memory, int, bool, int]] = [
    (CODER_7B, MAC_16, 8192, True, 32_768),
    (CODER_14B, MAC_16, 8192, False, 0),
    (CODER_14B, MAC_32, 8192, True, 32_768),
    (CODER_32B_4, MAC_16, 8192, False, 0),
    (CODER_32B_4, MAC_32, 8192, True, 9_463),
    (CODER_32B_4, MAC_32, 16_384, False, 9_463),
    (CODER_32B_8, MAC_32, 8192, False, 0),
    (CODER_32B_8, MAC_64, 8192, True, 32_768),
    (MOE, MAC_32, 8192, True, 38_648),
    (MOE, MAC_64, 65_536, True, 262_144),
    (OSS, MAC_16, 8192, False, 0),
    (OSS, MAC_32, 8192, True, 131_072),
    ("tiny", Memory(2 * GIB, GIB // 2), 8192, True, 4_096),
]


@pytest.mark.parametrize(("name", "memory", "context", "fits", "largest"), PLANS)
def test_a_plan_tells_whether_a_model_fits_and_the_largest_context(
    name: str, memory: Memory, context: int, fits: bool, largest: int, models: tuple[ModelInfo, ...]
) -> None:
    plan = plan_load(named(models, name), memory, context=context)
    assert (plan.fits, plan.largest_context) == (fits, largest)


def test_the_needs_add_up_to_the_published_formula(models: tuple[ModelInfo, ...]) -> None:
    model = named(models, CODER_32B_4)
    plan = plan_load(model, MAC_32, context=8192)
    assert plan.weights == int(18_430_553_602 * 1.05)
    assert plan.kv_cache == 8192 * 262_144
    assert plan.prefill == GIB
    assert plan.needed == plan.weights + plan.kv_cache + plan.prefill


MODEL = ModelInfo("m", Path("m"), "folder", weight_bytes=4 * GIB, kv_bytes_per_token=1024, context_length=4096)

FREE, GPU = "the memory that is free now", "the most that the GPU may hold"

# memory, bytes of the resident model: ceiling, what sets it
CEILINGS = [
    (Memory(20 * GIB, 19 * GIB), 0, 17 * GIB, "21.5 GB of memory less 3.2 GB for the system"),
    (Memory(128 * GIB, 127 * GIB), 0, 120 * GIB, "137.4 GB of memory less 8.6 GB for the system"),
    (Memory(32 * GIB, 6 * GIB), 0, 6 * GIB, FREE),
    (Memory(32 * GIB, 3 * GIB), 4 * GIB, 7 * GIB, FREE),
    (Memory(32 * GIB, 3 * GIB), 2 * GIB, 5 * GIB, FREE),
    (Memory(32 * GIB, 31 * GIB, 8 * GIB), 0, 8 * GIB, GPU),
]


@pytest.mark.parametrize(("memory", "resident", "ceiling", "limit"), CEILINGS)
def test_the_ceiling_is_the_least_of_three(memory: Memory, resident: int, ceiling: int, limit: str) -> None:
    plan = plan_load(MODEL, memory, context=1024, resident_bytes=resident)
    assert (plan.ceiling, plan.limit) == (ceiling, limit)


def test_the_reserved_context_is_at_most_the_models_window() -> None:
    assert plan_load(MODEL, MAC_32, context=100_000).context == 4096


def test_a_cache_of_unknown_size_is_guessed_and_one_that_does_not_grow_costs_nothing() -> None:
    unknown = ModelInfo("m", Path("m"), "folder", weight_bytes=GIB)
    fixed = ModelInfo("m", Path("m"), "folder", weight_bytes=GIB, kv_bytes_per_token=0, context_length=1_000_000)
    assert plan_load(unknown, MAC_16, context=8192).kv_cache == GIB
    assert plan_load(fixed, MAC_16, context=8192).kv_cache == 0
    assert plan_load(fixed, MAC_16, context=8192).largest_context == 1_000_000


@pytest.mark.parametrize(("bits", "fits", "largest"), [(None, False, 9_463), (8, True, 16_823), (4, True, 30_281)])
def test_keys_and_values_in_fewer_bits_make_room_for_a_longer_context(
    models: tuple[ModelInfo, ...], bits: int | None, fits: bool, largest: int
) -> None:
    plan = plan_load(named(models, CODER_32B_4), MAC_32, context=16_384, kv_bits=bits)
    assert (plan.fits, plan.largest_context) == (fits, largest)
    # Of 16 bits, 8 or 4 are left, and one for the scale and the offset that 32 values share.
    assert plan.kv_cache == 16_384 * 262_144 * {None: 16, 8: 9, 4: 5}[bits] // 16


def plan_32b(models: tuple[ModelInfo, ...], memory: Memory, context: int = 8192, *, force: bool = False) -> LoadPlan:
    return plan_load(named(models, CODER_32B_4), memory, context=context, force=force)


def test_a_plan_is_told_in_a_sentence(models: tuple[ModelInfo, ...]) -> None:
    needs = (
        "mlx-community/Qwen2.5-Coder-32B-Instruct-4bit needs 22.6 GB (19.4 GB weights, 2.1 GB KV cache for 8,192 "
        "tokens, 1.1 GB to read prompts); "
    )
    assert plan_32b(models, MAC_32).words() == (
        f"{needs}22.9 GB can be had (the most that the GPU may hold). Up to 9,463 tokens of context fit."
    )
    assert plan_32b(models, MAC_16).words() == (
        f"{needs}11.5 GB can be had (the most that the GPU may hold). It fits with no context, however short."
    )
    assert plan_32b(models, MAC_32, 16_384).words().endswith("With at most 9,463 tokens of context it would fit.")


def test_the_nearest_smaller_model_that_fits_is_sound_real_and_of_the_same_format(
    models: tuple[ModelInfo, ...],
) -> None:
    plan = plan_load(named(models, CODER_32B_8), MAC_32, context=8192)
    assert nearest_smaller(plan, models) == named(models, CODER_32B_4)
    plan = plan_load(named(models, CODER_32B_8), MAC_16, context=8192)
    assert nearest_smaller(plan, models) == named(models, "Qwen2.5-Coder-7B-Instruct-4bit")
    plan = plan_load(named(models, CODER_32B_8), Memory(4 * GIB, 2 * GIB), context=8192)
    assert nearest_smaller(plan, models) is None


def test_what_does_not_fit_is_refused_with_the_numbers_and_what_would(models: tuple[ModelInfo, ...]) -> None:
    with pytest.raises(InsufficientMemoryError) as caught:
        require_fit(plan_32b(models, MAC_16), models)
    assert "needs 22.6 GB" in str(caught.value)
    assert "mlx-community/Qwen2.5-Coder-7B-Instruct-4bit (4.3 GB) would fit." in str(caught.value)


def test_what_fits_or_is_forced_passes(models: tuple[ModelInfo, ...]) -> None:
    require_fit(plan_32b(models, MAC_32), models)
    forced = plan_32b(models, MAC_16, force=True)
    require_fit(forced, models)
    assert not forced.fits


@pytest.mark.parametrize(
    ("parameters", "bits", "size"),
    [(7 * 10**9, 4, 5.5), (14 * 10**9, 6, 12.5), (32 * 10**9, 4, 18), (32 * 10**9, 8, 34), (70 * 10**9, 4, 37)],
)
def test_the_published_rule_is_billions_times_bits_over_eight_and_two(parameters: int, bits: int, size: float) -> None:
    assert published_rule(parameters, bits) == int(size * 10**9)


# model, GB/s: tok/s, word
SPEEDS = [
    (CODER_7B, 400, 64, "instant"),
    (CODER_7B, 100, 16, "moderate"),
    (CODER_14B, 273, 15, "moderate"),
    (CODER_32B_4, 546, 20, "fast"),
    (CODER_32B_4, 400, 15, "moderate"),
    (CODER_32B_8, 273, 5, "slow"),
    (MOE, 546, 112, "instant"),
    (MOE, 120, 25, "fast"),
    (OSS, 400, 53, "instant"),
]


@pytest.mark.parametrize(("name", "bandwidth", "rate", "word"), SPEEDS)
def test_speed_is_estimated_from_bandwidth_over_the_bytes_of_a_token(
    name: str, bandwidth: int, rate: int, word: str, models: tuple[ModelInfo, ...]
) -> None:
    speed = estimate_speed(named(models, name), bandwidth * 1e9)
    assert speed is not None
    assert (round(speed.tokens_per_second), speed.word) == (rate, word)


def test_without_bandwidth_or_sizes_there_is_no_estimate(models: tuple[ModelInfo, ...]) -> None:
    assert estimate_speed(models[0], None) is None
    assert estimate_speed(ModelInfo("m", Path("m"), "folder"), 1e11) is None


# What mlx-lm's BENCHMARKS.md measured on an M4 Max (546 GB/s) with 2k of context.
@pytest.mark.parametrize(
    ("gigabytes", "kv", "measured"), [(8.0, 147_456, 52.5), (4.3, 147_456, 86.9), (2.3, 147_456, 134.5)]
)
def test_the_estimate_is_within_a_fifth_of_what_was_measured(gigabytes: float, kv: int, measured: float) -> None:
    model = ModelInfo("m", Path("m"), "folder", weight_bytes=int(gigabytes * 1e9), kv_bytes_per_token=kv)
    speed = estimate_speed(model, 546e9)
    assert speed is not None
    assert speed.tokens_per_second == pytest.approx(measured, rel=0.2)


@pytest.mark.parametrize(
    ("rate", "measured", "words"),
    [
        (30, False, "~30 tok/s (instant)"),
        (29.9, True, "30 tok/s (fast)"),
        (18, True, "18 tok/s (fast)"),
        (17.9, False, "~18 tok/s (moderate)"),
        (8, False, "~8.0 tok/s (moderate)"),
        (7.94, False, "~7.9 tok/s (slow)"),
        (0.52, True, "0.5 tok/s (slow)"),
    ],
)
def test_a_speed_is_told_with_a_word_and_a_tilde_where_it_is_estimated(rate: float, measured: bool, words: str) -> None:
    assert str(Speed(rate, measured)) == words


def test_a_model_of_another_format_is_no_smaller_choice() -> None:
    def sized(name: str, kind: ModelFormat, size: int) -> ModelInfo:
        return ModelInfo(name, Path(name), "folder", kind, weight_bytes=size, kv_bytes_per_token=0)

    plan = plan_load(sized("large", "mlx", 100 * GIB), MAC_16, context=1)
    assert nearest_smaller(plan, [sized("small", "gguf", GIB)]) is None
