"""A thinking budget closes the thought by force, and the answer comes all the same."""

import asyncio
import json
from pathlib import Path

import pytest

from benchmarks.discovered import model_in
from mcp_local_llm.engines.mlx.engine import MlxEngine
from mcp_local_llm.values.chat import ChatRequest, ChatResult, SamplingParams
from mcp_local_llm.values.model import ModelInfo
from tests.engines.mlx.asking import answer, engine_of, prompt
from tests.model_cache import place_tiny

LONG = "Think long about seven."
"""The built-in model thinks about this for more than 120 tokens, and then says:"""
SAYS = "Seven is a prime number."


async def ask(engine: MlxEngine, text: str, budget: int | None = None, thinking: bool | None = None) -> ChatResult:
    sampling = SamplingParams(max_tokens=400, temperature=0.0)
    request = ChatRequest(prompt(text), sampling=sampling, thinking=thinking, max_thinking_tokens=budget)
    return await answer(engine, request)


def other_template(cache: Path, old: str, new: str) -> ModelInfo:
    """The built-in model with another chat template."""
    folder = place_tiny(cache, "acme/Other-Template")
    template = folder / "chat_template.jinja"
    text = template.resolve().read_text()
    assert old in text
    template.unlink()
    template.write_text(text.replace(old, new))
    return model_in(folder)


@pytest.mark.parametrize("budget", [0, 1, 2, 3, 5, 17, 60, 100])
async def test_a_thought_ends_at_exactly_its_budget_and_an_answer_follows(tiny: ModelInfo, budget: int) -> None:
    async with engine_of(tiny) as engine:
        result = await ask(engine, LONG, budget)
    assert result.usage.reasoning_tokens == budget
    assert result.text == SAYS
    assert result.thinking_closed
    assert result.finish_reason == "stop"


@pytest.mark.slow
async def test_requests_with_budgets_share_a_batch_with_others(tiny: ModelInfo) -> None:
    async with engine_of(tiny) as engine:
        free = await ask(engine, LONG)
        together = await asyncio.gather(*(ask(engine, LONG, budget) for budget in (5, None, 60, 17)))
    assert [one.text for one in together] == [SAYS] * 4
    counts = [one.usage.reasoning_tokens for one in together]
    assert counts == [5, free.usage.reasoning_tokens, 60, 17]


async def test_a_thought_shorter_than_its_budget_is_left_alone(tiny: ModelInfo) -> None:
    async with engine_of(tiny) as engine:
        free = await ask(engine, "How many legs do two cats and a bird have?")
        bound = await ask(engine, "How many legs do two cats and a bird have?", 300)
    assert (bound.text, bound.reasoning, bound.usage) == (free.text, free.reasoning, bound.usage)
    assert bound.usage.reasoning_tokens == free.usage.reasoning_tokens


async def test_a_block_that_the_template_opened_is_closed_as_well(tiny: ModelInfo, tmp_path: Path) -> None:
    end = "{{- '<|im_start|>assistant\\n' -}}\n    {%- if enable_thinking is defined"
    model = other_template(tmp_path, end, end.replace("assistant\\n'", "assistant\\n<think>\\n'"))
    async with engine_of(model) as engine:
        for budget in (0, 1, 20):
            result = await ask(engine, LONG, budget)
            assert (result.usage.reasoning_tokens, result.text) == (budget, SAYS)


async def test_no_budget_and_no_thinking_leave_the_template_alone(tiny: ModelInfo) -> None:
    async with engine_of(tiny) as engine:
        off = await ask(engine, LONG, thinking=False)
        both = await ask(engine, LONG, 5, thinking=False)
        on = await ask(engine, LONG, thinking=True)
    assert off.usage.reasoning_tokens == both.usage.reasoning_tokens == 0
    assert off.text == both.text == on.text == SAYS
    assert on.usage.reasoning_tokens > 100
    assert not off.warnings + both.warnings + on.warnings


async def test_a_model_that_cannot_be_switched_off_is_said_so(tiny: ModelInfo, tmp_path: Path) -> None:
    model = other_template(tmp_path, "enable_thinking is defined and not enable_thinking", "false")
    async with engine_of(model) as engine:
        off = await ask(engine, LONG, thinking=False)
        default = await ask(engine, LONG)
    assert any("cannot be told not to think" in warning for warning in off.warnings)
    assert off.usage.reasoning_tokens > 100
    assert default.warnings == ()


async def test_wishes_about_reasoning_are_said_to_be_void_for_a_model_without_it(
    tiny: ModelInfo, tmp_path: Path
) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    for path in tiny.path.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    for token in tokenizer["added_tokens"]:
        token["content"] = token["content"].replace("think>", "thunk>")
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "<|im_start|>assistant\n"
    )
    async with engine_of(model_in(folder)) as engine:
        result = await ask(engine, "Hello", 5, thinking=True)
    assert any("no thinking mode" in warning for warning in result.warnings)
    assert any("max_thinking_tokens changed nothing" in warning for warning in result.warnings)
