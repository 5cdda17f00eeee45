"""What was computed once is not computed again, and it makes no difference to the answer."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_local_llm.engines.mlx import EngineLimits
from mcp_local_llm.engines.mlx.engine import MlxEngine
from mcp_local_llm.values.chat import ChatResult, Message, SamplingParams
from mcp_local_llm.values.model import ModelInfo
from tests.engines.mlx.asking import ask, engine_of, prompt
from tests.engines.mlx.random_models import HYBRID, SLIDING, random_model

SYSTEM = "You are a careful assistant. " * 12
NOTE = "The quick brown fox jumps over the lazy dog and runs into the forest. " * 12


async def test_the_next_turn_computes_only_what_is_new_and_answers_as_a_cold_run(tiny: ModelInfo) -> None:
    first = prompt("Hello")
    async with engine_of(tiny) as engine:
        one = await ask(engine, first)
        second = prompt("What is 2+2?", history=[("Hello", one.text)])
        warm = await ask(engine, second)
    async with engine_of(tiny) as engine:
        cold = await ask(engine, second)
    # The template of tiny strips the thoughts of earlier answers; the prompt of the first turn is found all the same.
    assert one.reasoning
    assert warm.usage.cached_tokens >= one.usage.prompt_tokens - 1
    assert cold.usage.cached_tokens == 0
    assert (warm.reasoning, warm.text) == (cold.reasoning, cold.text)


async def test_the_same_request_again_computes_one_token(tiny: ModelInfo) -> None:
    async with engine_of(tiny) as engine:
        one = await ask(engine, prompt("Hello", SYSTEM))
        again = await ask(engine, prompt("Hello", SYSTEM))
    assert again.usage.cached_tokens == again.usage.prompt_tokens - 1
    assert (again.reasoning, again.text) == (one.reasoning, one.text)


@pytest.mark.slow
async def test_three_interleaved_conversations_each_find_their_own_prefix(tiny: ModelInfo) -> None:
    names = ("Ada", "Ben", "Cleo")
    async with engine_of(tiny) as engine:
        history: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
        known = dict.fromkeys(names, 0)
        for turn in range(4):
            for name in names:
                text = f"{name} says: {NOTE[:200]} Turn {turn}."
                result = await ask(engine, prompt(text, SYSTEM, history[name]))
                # What came before this turn's question is not computed again, but for the answer to the last one.
                assert result.usage.cached_tokens >= known[name] - 1
                known[name] = result.usage.prompt_tokens
                history[name].append((text, result.text))


async def test_calls_that_arrive_together_share_the_part_that_they_have_in_common(tiny: ModelInfo) -> None:
    results: list[ChatResult] = []

    async def call(engine: MlxEngine, question: str) -> None:
        results.append(await ask(engine, prompt(f"{NOTE}\n{question}", SYSTEM)))

    async with engine_of(tiny) as engine, anyio.create_task_group() as group:
        for question in ("Who runs?", "Where to?", "Why?"):
            group.start_soon(call, engine, question)
    cached = sorted(result.usage.cached_tokens for result in results)
    assert cached[0] == 0
    assert cached[1] > 0.9 * results[0].usage.prompt_tokens


async def test_the_budget_bounds_what_is_kept(tiny: ModelInfo) -> None:
    async with engine_of(tiny, EngineLimits(prefix_cache_bytes=300_000)) as engine:
        for name in ("Ada", "Ben", "Cleo", "Dora"):
            await ask(engine, prompt(f"{name}: {NOTE[:300]}"))
            assert engine.memory is not None
            assert 0 < engine.memory.prefix_bytes <= 300_000
    async with engine_of(tiny, EngineLimits(prefix_cache_bytes=0)) as engine:
        await ask(engine, prompt("Hello", SYSTEM))
        assert (await ask(engine, prompt("Hello", SYSTEM))).usage.cached_tokens == 0


@pytest.mark.parametrize("config", [HYBRID, SLIDING], ids=["hybrid", "sliding"])
async def test_a_cache_that_cannot_be_cut_back_hits_at_its_checkpoints(
    tiny: ModelInfo, tmp_path: Path, config: dict[str, Any]
) -> None:
    model = random_model(tiny, tmp_path / "random", config)
    sampling = SamplingParams(max_tokens=24, temperature=0.0)
    first = prompt(f"{NOTE} Hello", SYSTEM)
    # The answer in the history is not what was generated, as when a template strips the thoughts.
    second = prompt("And then?", SYSTEM, [(f"{NOTE} Hello", "Something else.")])
    other = prompt("A new conversation.", SYSTEM)
    async with engine_of(model) as engine:
        one = await ask(engine, first, sampling)
        warm = await ask(engine, second, sampling)
        again = await ask(engine, first, sampling)
        fresh = await ask(engine, other, sampling)
    assert 0.95 * one.usage.prompt_tokens < warm.usage.cached_tokens < one.usage.prompt_tokens
    assert again.usage.cached_tokens == warm.usage.cached_tokens
    assert 50 < fresh.usage.cached_tokens < fresh.usage.prompt_tokens
    async with engine_of(model, EngineLimits(prefix_cache_bytes=0)) as engine:
        for messages, result in ((second, warm), (first, again), (other, fresh)):
            cold = await ask(engine, messages, sampling)
            assert cold.usage.cached_tokens == 0
            assert cold.reasoning + cold.text == result.reasoning + result.text


@pytest.mark.parametrize("config", [HYBRID, SLIDING], ids=["hybrid", "sliding"])
async def test_a_second_question_about_files_computes_only_itself_where_a_cache_cannot_be_cut_back(
    tiny: ModelInfo, tmp_path: Path, config: dict[str, Any]
) -> None:
    model = random_model(tiny, tmp_path / "random", config)
    sampling = SamplingParams(max_tokens=12, temperature=0.0)
    files = f'<file path="fox.txt">\n{NOTE}\n</file>\n<file path="dog.txt">\n{NOTE[:100]}\n</file>'
    short = '<file path="a.txt">\nBuy milk.\n</file>'

    def asked(text: str, question: str) -> tuple[Message, ...]:
        return prompt(f"Look at this:\n{text}\n\n{question}", SYSTEM)

    first, second = asked(files, "Who runs? " * 20), asked(files, "Where to?")
    async with engine_of(model) as engine:
        one = await ask(engine, first, sampling)
        warm = await ask(engine, second, sampling)
        other = await ask(engine, asked(short, "What is to be bought? " * 10), sampling)
        again = await ask(engine, asked(short, "Where?"), sampling)
    # Its own tokens are the end of the last tag, the question, and what the template writes around it.
    assert one.usage.cached_tokens == 0
    assert warm.usage.prompt_tokens - warm.usage.cached_tokens < 30
    # A short file is computed again; what stands before it is found.
    assert 50 < other.usage.cached_tokens == again.usage.cached_tokens
    async with engine_of(model, EngineLimits(prefix_cache_bytes=0)) as engine:
        cold = await ask(engine, second, sampling)
    assert cold.usage.cached_tokens == 0
    assert (warm.reasoning, warm.text) == (cold.reasoning, cold.text)


@pytest.mark.parametrize("config", [HYBRID, SLIDING], ids=["hybrid", "sliding"])
async def test_other_architectures_answer_in_a_batch_as_they_do_alone(
    tiny: ModelInfo, tmp_path: Path, config: dict[str, Any]
) -> None:
    model = random_model(tiny, tmp_path / "random", config)
    sampling = SamplingParams(max_tokens=12, temperature=0.0)
    questions = ("Hello", f"{NOTE} Hello", "What is 2+2?")
    results: dict[str, ChatResult] = {}

    async def call(engine: MlxEngine, question: str) -> None:
        results[question] = await ask(engine, question, sampling)

    async with engine_of(model) as engine:
        alone = [await ask(engine, question, sampling) for question in questions]
    async with engine_of(model) as engine, anyio.create_task_group() as group:
        for question in questions:
            group.start_soon(call, engine, question)
    assert [one.text for one in alone] == [results[question].text for question in questions]
