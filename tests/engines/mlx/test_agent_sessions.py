"""What sessions of coding agents read anew, where a KV cache can be cut back and where only checkpoints serve."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.agent_sessions import Reading, replay, usage_of
from benchmarks.agent_shapes import MAIN, SUBAGENT, TITLE, AgentSession
from mcp_local_llm.engines.mlx import EngineLimits
from mcp_local_llm.engines.mlx.limits import PrefixDiskLimits
from mcp_local_llm.values.model import ModelInfo
from tests.engines.mlx.asking import engine_of
from tests.engines.mlx.random_models import HYBRID, PLAIN, SLIDING, random_model

ALL = pytest.mark.parametrize(
    "config",
    [PLAIN, HYBRID, pytest.param(SLIDING, marks=pytest.mark.sweep)],
    ids=["plain", "hybrid", "sliding"],
)
DIVIDED = 40
"""Makes the first request 600 tokens of the built-in model's small vocabulary long."""


@pytest.fixture
def model(tiny: ModelInfo, tmp_path: Path, config: dict[str, Any]) -> ModelInfo:
    return random_model(tiny, tmp_path / "random", config)


def too_much(readings: Sequence[Reading]) -> list[Reading]:
    # The opening of an answer is computed again, and so is the token before a fork: of short texts that is a share.
    return [reading for reading in readings if reading.read > reading.most + 8]


@ALL
async def test_a_session_and_those_beside_it_read_their_own_tokens_only(model: ModelInfo) -> None:
    async with engine_of(model, EngineLimits(batch_size=2)) as engine:
        readings = await replay(engine, DIVIDED)
    assert len(readings) == 28
    assert readings[0].read == readings[0].prompt
    assert not too_much(readings)


@ALL
async def test_a_long_subagent_evicts_its_own_past_and_not_the_main_conversation(model: ModelInfo) -> None:
    main, sub = AgentSession(MAIN.divided(DIVIDED), "p", "main"), AgentSession(SUBAGENT.divided(DIVIDED), "a", "sub")
    title = AgentSession(TITLE.divided(DIVIDED), "t", "title")
    async with engine_of(model) as engine:
        first = await usage_of(engine, main.request())
        assert engine.memory is not None
        held = engine.memory.prefix_bytes
    # Room for what both conversations need, and not for what they have left behind.
    async with engine_of(model, EngineLimits(prefix_cache_bytes=3 * held)) as engine:
        await usage_of(engine, main.request())
        for _ in range(6):
            await usage_of(engine, sub.request())
            sub.read(40)
        await usage_of(engine, title.request())
        main.read(100)
        later = await usage_of(engine, main.request())
    assert later.cached_tokens > 0.97 * first.prompt_tokens


@ALL
async def test_a_second_engine_finds_session_and_system_part_on_the_disk(model: ModelInfo, tmp_path: Path) -> None:
    limits = EngineLimits(prefix_disk=PrefixDiskLimits(tmp_path / "prefixes", 64 * 2**20))
    main = AgentSession(MAIN.divided(16), "p", "main")
    async with engine_of(model, limits) as engine:
        first = await usage_of(engine, main.request())
        await engine.unload()
    main.read(100)
    async with engine_of(model, limits) as engine:
        later = await usage_of(engine, main.request())
        second = await usage_of(engine, AgentSession(MAIN.divided(16), "p", "second").request())
    assert later.cached_tokens > 0.7 * first.prompt_tokens
    assert second.cached_tokens > 0.7 * second.prompt_tokens
