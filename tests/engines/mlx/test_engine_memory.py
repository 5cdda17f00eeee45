"""The engine stays inside its memory, says what it holds, and gives it back."""

import json
from typing import Any, cast

import anyio
import mlx.core as mx
import pytest
from mlx_lm.generate import BatchGenerator

from mcp_local_llm.app import App
from mcp_local_llm.engines.mlx import EngineLimits
from mcp_local_llm.engines.mlx.engine import MlxEngine
from mcp_local_llm.engines.mlx.load.shape import network_shape
from mcp_local_llm.llm.llm import collect_result
from mcp_local_llm.values.chat import ChatRequest, ChatResult, Message, SamplingParams
from mcp_local_llm.values.errors import InsufficientMemoryError
from mcp_local_llm.values.machine import Memory
from mcp_local_llm.values.model import ModelInfo
from tests.engines.mlx.asking import ask, engine_of, ignore, prompt

MIB = 2**20


async def test_unloading_gives_the_memory_of_weights_and_caches_back(tiny: ModelInfo) -> None:
    async with engine_of(tiny) as engine:
        assert engine.memory is not None
        loaded = engine.memory.active_bytes
        await ask(engine, prompt("Hello " * 300))
        held = engine.memory
        assert held.prefix_bytes > 0
        assert held.active_bytes >= loaded + held.prefix_bytes // 2
        await engine.unload()
        # Not zero: other tests of this process may hold arrays of their own.
        assert engine.memory.active_bytes <= loaded - 0.9 * tiny.weight_bytes
        assert engine.memory.prefix_bytes == 0
        assert engine.memory.buffer_bytes == 0


async def test_a_request_that_cannot_fit_is_refused_with_the_numbers_before_anything_is_computed(
    tiny: ModelInfo,
) -> None:
    def little() -> Memory:
        return Memory(total=64 * MIB, available=1 * MIB)

    async with engine_of(tiny, EngineLimits(memory=little)) as engine:
        with pytest.raises(InsufficientMemoryError) as raised:
            await ask(engine, prompt("Hello"), SamplingParams(max_tokens=4000))
        message = str(raised.value)
        assert "4,000" in message
        assert "tiny" in message
        assert "Lower max_tokens to" in message
        assert (await ask(engine, prompt("Hello"), SamplingParams(max_tokens=40))).text


async def test_kept_prefixes_go_before_a_request_is_refused(tiny: ModelInfo) -> None:
    free = [64 * MIB]
    long = prompt("Hello " * 400)

    def memory() -> Memory:
        # MLX's own pool counts as free; without it the number is exact.
        return Memory(total=64 * MIB, available=free[0] - mx.get_cache_memory())

    async with engine_of(tiny, EngineLimits(memory=memory)) as engine:
        await ask(engine, long)
        assert (await ask(engine, long)).usage.cached_tokens > 400
        free[0] = 0
        await ask(engine, "What is 2+2?", SamplingParams(max_tokens=200))
        free[0] = 64 * MIB
        assert (await ask(engine, long)).usage.cached_tokens < 10


async def test_a_request_that_fits_only_alone_waits_for_the_running_one(tiny: ModelInfo) -> None:
    def memory() -> Memory:
        return Memory(total=MIB, available=600_000 - mx.get_cache_memory())

    results: list[ChatResult] = []

    async def call(engine: MlxEngine, text: str) -> None:
        results.append(await ask(engine, text, SamplingParams(max_tokens=400, temperature=0.0)))

    async with engine_of(tiny, EngineLimits(memory=memory)) as engine, anyio.create_task_group() as group:
        group.start_soon(call, engine, "Hello")
        group.start_soon(call, engine, "Who are you?")
    first, second = results
    assert second.timings.queued_s >= first.timings.decode_s
    assert second.text


async def test_the_status_tells_what_the_engine_holds(app: App) -> None:
    assert (await app.llm.status()).engine_bytes is None
    await collect_result(app.llm.chat(ChatRequest((Message(role="user", content="Hello"),)), ignore))
    status = await app.llm.status()
    assert status.engine_bytes is not None
    assert status.engine_bytes > 1_000_000
    assert status.prefix_cache_bytes is not None
    assert 0 < status.prefix_cache_bytes < status.engine_bytes


async def test_mlx_lm_is_kept_from_wiring_memory(tiny: ModelInfo) -> None:
    async with engine_of(tiny):
        generator = cast(Any, BatchGenerator)(None)
        assert vars(generator)["_old_wired_limit"] is None


def test_the_shape_of_a_network_comes_from_its_config(tiny: ModelInfo) -> None:
    config = json.loads((tiny.path / "config.json").read_text())
    shape = network_shape(tiny, config, 2)
    assert (shape.hidden, shape.intermediate, shape.heads, shape.head_dim) == (128, 384, 4, 32)
    assert shape.kv_bytes_per_token == 2 * 4 * 2 * 32 * 2
