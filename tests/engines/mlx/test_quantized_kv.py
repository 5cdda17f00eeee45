"""Keys and values in fewer bits: what it saves to the byte, what it costs, and which models cannot."""

from pathlib import Path
from typing import Any, cast, get_args

import anyio
import mlx.core as mx
import pytest
from mlx_lm.generate import BatchGenerator
from mlx_lm.models.cache import QuantizedKVCache, make_prompt_cache
from mlx_lm.utils import load

from mcp_local_llm.engines.mlx import EngineLimits
from mcp_local_llm.engines.mlx.engine import MlxEngine
from mcp_local_llm.engines.mlx.limits import KVBits
from mcp_local_llm.values.chat import ChatRequest, ChatResult, SamplingParams
from mcp_local_llm.values.errors import BusyError, InsufficientMemoryError, ModelLoadError
from mcp_local_llm.values.machine import Memory
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.progress import Phase
from tests.engines.mlx.asking import GREEDY, answer, ask, engine_of, prompt
from tests.engines.mlx.random_models import HYBRID, SLIDING, random_model

BITS: tuple[KVBits, ...] = get_args(KVBits)
BLOCK = 256
"""Tokens by which a cache grows."""

VALUES = 2 * 4 * 2 * 32
"""Of `tiny` for a token: keys and values, layers, heads, values of a head. 32 of them share a scale and an offset."""

TOKEN_BYTES = {None: 2 * VALUES, 8: VALUES + VALUES // 32 * 4, 4: VALUES // 2 + VALUES // 32 * 4}
SHORT = SamplingParams(max_tokens=8, temperature=0.0)
LONG = "Hello " * 150
NOTE = "The quick brown fox jumps over the lazy dog and runs into the forest. " * 12
SYSTEM = "You are a careful assistant. " * 12
ANSWERS = [
    ("Hello", "Hello! How can I help you today?"),
    ("How many legs do two cats and a bird have?", "10"),
    ('<file path="notes.txt">\nBuy milk.\n</file>\nWhat does the file say?', "The file says: Buy milk."),
]

WIDE_HYBRID: dict[str, Any] = {**HYBRID, "num_attention_heads": 2, "num_key_value_heads": 1}
WIDE_SLIDING: dict[str, Any] = {**SLIDING, "head_dim": 64, "query_pre_attn_scalar": 64}
STATE_ONLY: dict[str, Any] = {
    "model_type": "mamba",
    "hidden_size": 64,
    "intermediate_size": 128,
    "state_size": 16,
    "num_hidden_layers": 2,
    "conv_kernel": 4,
    "use_bias": False,
    "use_conv_bias": True,
    "time_step_rank": 4,
}
SINKS: dict[str, Any] = {
    "model_type": "gpt_oss",
    "num_hidden_layers": 2,
    "num_local_experts": 2,
    "num_experts_per_tok": 1,
    "hidden_size": 64,
    "intermediate_size": 64,
    "head_dim": 32,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "sliding_window": 64,
    "layer_types": ["sliding_attention", "full_attention"],
    "rope_scaling": None,
}


@pytest.mark.parametrize("bits", [None, *BITS])
async def test_a_token_takes_so_many_bytes(tiny: ModelInfo, bits: KVBits | None) -> None:
    async with engine_of(tiny, EngineLimits(kv_bits=bits)) as engine:
        result = await ask(engine, LONG, SHORT)
        assert engine.memory is not None
        blocks = -(-(result.usage.prompt_tokens + result.usage.completion_tokens) // BLOCK)
        assert engine.memory.prefix_bytes == blocks * BLOCK * TOKEN_BYTES[bits]


async def test_a_prompt_of_one_token_is_quantized_too(tiny: ModelInfo) -> None:
    async with engine_of(tiny, EngineLimits(kv_bits=8)) as engine:
        result = await answer(engine, ChatRequest((), prompt="a", sampling=GREEDY))
        assert result.usage.prompt_tokens == 1
        assert engine.memory is not None
        assert engine.memory.prefix_bytes == BLOCK * TOKEN_BYTES[8]


@pytest.mark.parametrize("bits", BITS)
async def test_answers_stay_right(tiny: ModelInfo, bits: KVBits) -> None:
    sampling = SamplingParams(max_tokens=200, temperature=0.0)
    async with engine_of(tiny, EngineLimits(kv_bits=bits)) as engine:
        for question, right in ANSWERS:
            assert (await ask(engine, question, sampling)).text == right


async def test_calls_run_one_at_a_time_in_the_fair_order_and_are_told_that_they_wait(tiny: ModelInfo) -> None:
    order: list[str] = []
    phases: dict[str, list[Phase]] = {}
    decoding = anyio.Event()

    async def call(engine: MlxEngine, name: str, text: str, sampling: SamplingParams) -> None:
        request = ChatRequest(prompt(text), sampling=sampling, client=name[:-1], stream=True)
        async for chunk in engine.stream(request):
            if chunk.progress is not None:
                phases.setdefault(name, []).append(chunk.progress.phase)
                if chunk.progress.phase in ("reasoning", "answer"):
                    decoding.set()
        order.append(name)

    async with engine_of(tiny, EngineLimits(kv_bits=8)) as engine, anyio.create_task_group() as group:
        long = SamplingParams(max_tokens=200, temperature=0.0)
        group.start_soon(call, engine, "many0", "Repeat the word la forever.", long)
        await decoding.wait()
        for name in ("many1", "many2", "one0"):
            group.start_soon(call, engine, name, f"Hello {name}", GREEDY)
    # The client of the running call has had its turn.
    assert order == ["many0", "one0", "many1", "many2"]
    assert "queued" not in phases["many0"]
    assert all(phases[name][0] == "queued" for name in order[1:])


async def test_a_full_queue_tells_that_one_call_runs(tiny: ModelInfo) -> None:
    refused: list[str] = []

    async def call(engine: MlxEngine) -> None:
        try:
            await ask(engine, "Hello")
        except BusyError as error:
            refused.append(str(error))

    limits = EngineLimits(kv_bits=8, queue_size=1)
    async with engine_of(tiny, limits) as engine, anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(call, engine)
    assert [text.partition(";")[0] for text in refused] == ["1 calls are running and 1 are waiting"]


async def test_prefixes_are_reused_whether_a_prompt_goes_on_or_parts_from_them(tiny: ModelInfo) -> None:
    ada, bob = prompt("My name is Ada."), prompt("My name is Bob.")
    async with engine_of(tiny, EngineLimits(kv_bits=8)) as engine:
        first = await ask(engine, ada)
        parted = await ask(engine, bob)
        again = await ask(engine, ada)
        longer = await ask(engine, prompt("What is my name?", history=[("My name is Ada.", first.text)]))
    assert (first.text, parted.text) == ("Nice to meet you, Ada!", "Nice to meet you, Bob!")
    assert 5 < parted.usage.cached_tokens < parted.usage.prompt_tokens - 3
    assert (again.reasoning, again.text) == (first.reasoning, first.text)
    assert again.usage.cached_tokens == again.usage.prompt_tokens - 1
    assert longer.text == "Your name is Ada."
    assert longer.usage.cached_tokens >= first.usage.prompt_tokens - 1


@pytest.mark.parametrize("config", [WIDE_HYBRID, WIDE_SLIDING], ids=["hybrid", "sliding"])
async def test_windows_and_states_stay_as_they_are_beside_quantized_layers(
    tiny: ModelInfo, tmp_path: Path, config: dict[str, Any]
) -> None:
    model = random_model(tiny, tmp_path / "random", config)
    first = prompt(f"{NOTE} Hello", SYSTEM)
    held: dict[KVBits | None, int] = {}
    for bits in (None, 8):
        async with engine_of(model, EngineLimits(kv_bits=bits)) as engine:
            cold = await ask(engine, first, SHORT)
            assert engine.memory is not None
            held[bits] = engine.memory.prefix_bytes
            warm = await ask(engine, first, SHORT)
        assert warm.usage.cached_tokens > 0.9 * warm.usage.prompt_tokens
        # Both computed the same chunks: a checkpoint is the state that the first one had there.
        assert (warm.reasoning, warm.text) == (cold.reasoning, cold.text)
    assert 0 < held[8] < held[None]


REFUSED: list[tuple[dict[str, Any], str]] = [
    (HYBRID, "its heads have 16 values, and MLX quantizes multiples of 32"),
    (SINKS, "mlx-lm cannot compute it so: Quantized SDPA does not support attention sinks"),
    (STATE_ONLY, "none of its layers has a cache that mlx-lm can quantize"),
]


@pytest.mark.parametrize(("config", "reason"), REFUSED, ids=["narrow heads", "attention sinks", "no attention"])
async def test_a_model_that_cannot_is_refused_by_name_when_it_is_loaded(
    tiny: ModelInfo, tmp_path: Path, config: dict[str, Any], reason: str
) -> None:
    model = random_model(tiny, tmp_path / "random", config)
    with pytest.raises(ModelLoadError) as raised:
        async with engine_of(model, EngineLimits(kv_bits=4)):
            pass
    assert str(raised.value) == (
        f"{model.id} cannot be used with the setting kv_bits = 4: {reason}. Unset kv_bits, or choose another model."
    )


async def test_a_context_that_fits_only_with_quantized_keys_and_values_is_admitted(tiny: ModelInfo) -> None:
    def memory() -> Memory:
        # MLX's own pool counts as free; without it the number is exact.
        return Memory(total=2**26, available=3000 * 2 * VALUES - mx.get_cache_memory())

    async def call(bits: KVBits | None) -> ChatResult:
        async with engine_of(tiny, EngineLimits(kv_bits=bits, memory=memory)) as engine:
            return await ask(engine, "Hello", SamplingParams(max_tokens=4000, temperature=0.0))

    with pytest.raises(InsufficientMemoryError, match="of KV cache"):
        await call(None)
    assert (await call(8)).text == ANSWERS[0][1]


def test_mlx_lm_cannot_decode_quantized_caches_together(tiny: ModelInfo) -> None:
    # When this fails after a new release, the lane of its own may no longer be needed.
    network, _ = cast(tuple[Any, Any], load(str(tiny.path))[:2])
    layers: list[Any] = [layer.to_quantized(group_size=32, bits=8) for layer in make_prompt_cache(network)]
    network(mx.array([[1, 2]]), cache=layers)
    assert all(type(layer) is QuantizedKVCache for layer in layers)
    generator = BatchGenerator(network)
    generator.insert([[3]], caches=[layers], all_tokens=[[1, 2]])
    with pytest.raises(ValueError, match="does not yet support batching"):
        generator.next()
    generator.close()
