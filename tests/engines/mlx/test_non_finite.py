"""A network that computes no numbers ends its answers with an error that says so, alone and in a batch."""

from typing import Any

import anyio
import mlx.core as mx
import pytest
from mlx_lm.models import qwen3

from mcp_local_llm.values.chat import SamplingParams
from mcp_local_llm.values.errors import GenerationError
from mcp_local_llm.values.model import ModelInfo
from tests.engines.mlx.asking import ask, engine_of

SAMPLED = SamplingParams(max_tokens=48, temperature=0.9, top_k=20, seed=1)
GREEDY = SamplingParams(max_tokens=48, temperature=0.0)
PENALISED = SamplingParams(max_tokens=48, temperature=0.0, repetition_penalty=1.2)


class Spoiled:
    """Replaces a network's logits while `value` is set, from the given forward pass of one token on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.value: float | None = None
        self.after = 0
        self.whole_row = True
        model: Any = qwen3.Model
        sound = model.__call__

        def forward(network: Any, inputs: mx.array, *arguments: Any, **options: Any) -> mx.array:
            logits = sound(network, inputs, *arguments, **options)
            if self.value is None or inputs.shape[1] != 1:
                return logits
            self.after -= 1
            if self.after >= 0:
                return logits
            if self.whole_row:
                return mx.full(logits.shape, self.value, logits.dtype)
            return mx.concatenate([mx.full([*logits.shape[:-1], 1], self.value), logits[..., 1:]], axis=-1)

        monkeypatch.setattr(model, "__call__", forward)


@pytest.fixture
def spoiled(monkeypatch: pytest.MonkeyPatch) -> Spoiled:
    return Spoiled(monkeypatch)


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED, PENALISED], ids=["greedy", "sampled", "penalised"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("calls", [1, 3])
async def test_values_that_are_no_numbers_are_told_and_nothing_of_them_is_kept(
    tiny: ModelInfo, spoiled: Spoiled, sampling: SamplingParams, value: float, calls: int
) -> None:
    errors: list[str] = []
    async with engine_of(tiny) as engine:
        sound = await ask(engine, "Hello")
        spoiled.value, spoiled.after = value, 3

        async def failing() -> None:
            with pytest.raises(GenerationError) as raised:
                await ask(engine, "Tell me a story.", sampling)
            errors.append(str(raised.value))

        async with anyio.create_task_group() as group:
            for _ in range(calls):
                group.start_soon(failing)
        assert all("no numbers (NaN or infinite)" in error for error in errors)
        assert len(errors) == calls
        spoiled.value = None
        again = await ask(engine, "Hello")
        assert again.text == sound.text
        assert again.usage.cached_tokens == 0
        assert not engine.lost


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
async def test_one_value_of_a_row_is_enough(tiny: ModelInfo, spoiled: Spoiled, value: float) -> None:
    async with engine_of(tiny) as engine:
        spoiled.value, spoiled.whole_row = value, False
        for sampling in (GREEDY, SAMPLED):
            with pytest.raises(GenerationError, match="no numbers"):
                await ask(engine, "Hello", sampling)


async def test_a_value_of_minus_infinity_is_no_damage(tiny: ModelInfo, spoiled: Spoiled) -> None:
    async with engine_of(tiny) as engine:
        sound = await ask(engine, "Count from 1 to 9.")
        spoiled.value, spoiled.whole_row = float("-inf"), False
        assert (await ask(engine, "Count from 1 to 9.")).text == sound.text
