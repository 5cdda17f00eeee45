"""How tokens are drawn: limits, penalties, seeds, a model's own values, and the end of a loop."""

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from benchmarks.discovered import model_in
from mcp_local_llm.engines.mlx import EngineLimits
from mcp_local_llm.engines.mlx.load.generation_config import SamplingDefaults, read_sampling_defaults
from mcp_local_llm.engines.mlx.steer.penalties import LONG_INPUT, Penalties, PenaltyProcessor, penalties_for
from mcp_local_llm.llm.llm import collect_result
from mcp_local_llm.setup.settings_file import load_settings
from mcp_local_llm.values.chat import ChatRequest, SamplingParams
from mcp_local_llm.values.model import ModelInfo
from tests.apps import opened
from tests.behaviour.reciting_model import Script, cut, write_reciting_model
from tests.engines.mlx.asking import ask, engine_of, ignore, prompt

QUESTIONS = ("Tell me something.", "Hello", "Write a poem.", "Who are you?")
LOOP = "Repeat the word la forever."
COUNTED = ", ".join(str(number) for number in range(1, 151))


def reciting(folder: Path) -> ModelInfo:
    """A model that repeats "la" for ever, or counts to 150, whichever a question names."""
    scripts = {"la": Script(("la ", "la\n"), ends=False), "count": Script(cut(COUNTED, size=4))}
    return model_in(write_reciting_model(folder / "model", scripts, by_part=True))


async def test_seeded_answers_are_the_same_alone_and_in_a_batch(tiny: ModelInfo) -> None:
    draws = [
        SamplingParams(max_tokens=40, temperature=2.0, top_k=500, min_p=1e-9, seed=seed)
        for seed in range(len(QUESTIONS))
    ]
    async with engine_of(tiny) as engine:
        alone = [await ask(engine, text, draw) for text, draw in zip(QUESTIONS, draws, strict=True)]
        together = await asyncio.gather(*(ask(engine, text, draw) for text, draw in zip(QUESTIONS, draws, strict=True)))
        others = [await ask(engine, QUESTIONS[0], dataclasses.replace(draws[0], seed=seed)) for seed in range(20, 24)]
    assert [one.text + one.reasoning for one in together] == [one.text + one.reasoning for one in alone]
    assert len({one.text + one.reasoning for one in others}) > 1


EXTREMES = [
    SamplingParams(temperature=1.0, top_k=768),
    SamplingParams(temperature=1.0, top_k=1_000_000),
    SamplingParams(temperature=1.0, top_k=1, min_p=1.0, top_p=1e-9),
    SamplingParams(temperature=1e-300, seed=1),
    SamplingParams(temperature=2.0, min_p=1.0, seed=2**32 - 1),
    SamplingParams(temperature=0.0, repetition_penalty=2.0, frequency_penalty=2.0, presence_penalty=-2.0),
    SamplingParams(temperature=1.0, repetition_penalty=0.5, frequency_penalty=-2.0),
]


async def test_values_at_the_ends_of_their_ranges_harm_neither_their_request_nor_others(tiny: ModelInfo) -> None:
    async with engine_of(tiny) as engine:
        for extreme in EXTREMES:
            draw = dataclasses.replace(extreme, max_tokens=12)
            odd, usual = await asyncio.gather(ask(engine, "Hello", draw), ask(engine, "Hello"))
            assert odd.usage.completion_tokens > 0, extreme
            assert usual.text == "Hello! How can I help you today?", extreme


async def test_penalties_make_an_answer_repeat_itself_less(tiny: ModelInfo) -> None:
    plain = SamplingParams(max_tokens=120, temperature=0.0)
    async with engine_of(tiny) as engine:
        loop = await ask(engine, LOOP, plain)
        less = await ask(engine, LOOP, dataclasses.replace(plain, frequency_penalty=1.0))
    assert loop.text.count("la") > 2 * less.text.count("la")


def _step(processor: PenaltyProcessor, context: list[int], logits: list[float]) -> list[float]:
    processed: Any = processor(mx.array(context), mx.array([logits]))
    return [round(value, 4) for value in processed[0].tolist()]


def test_penalties_count_the_answer_and_never_the_prompt() -> None:
    processor = PenaltyProcessor(Penalties(repetition=2.0, frequency=0.5, presence=0.25))
    logits = [1.0, -1.0, 3.0, 4.0]
    assert _step(processor, [0, 1, 3], logits) == logits
    assert _step(processor, [0, 1, 3, 2], logits) == [1.0, -1.0, 0.75, 4.0]
    assert _step(processor, [0, 1, 3, 2, 1], logits) == [1.0, -2.75, 0.75, 4.0]
    assert _step(processor, [0, 1, 3, 2, 1, 2], logits) == [1.0, -2.75, 0.25, 4.0]


def test_penalties_wait_for_their_onset_and_then_know_what_came_before() -> None:
    processor = PenaltyProcessor(Penalties(presence=1.0, onset=2))
    logits = [1.0, 1.0, 1.0]
    assert [_step(processor, [0, 0, *range(drawn)], logits) for drawn in range(3)] == [logits] * 3
    assert _step(processor, [0, 0, 0, 1, 2], logits) == [0.0, 0.0, 0.0]


SILENT, LIGHT = SamplingParams(), Penalties(1.05, onset=256, unasked=True)
CHOSEN = [
    (SILENT, SamplingDefaults(), 100, True, Penalties()),
    (SILENT, SamplingDefaults(), LONG_INPUT, True, LIGHT),
    (SILENT, SamplingDefaults(), LONG_INPUT - 1, True, Penalties()),
    (SILENT, SamplingDefaults(), LONG_INPUT, False, Penalties()),
    (SILENT, SamplingDefaults(temperature=0.7), LONG_INPUT, True, Penalties()),
    (SamplingParams(temperature=0.7), SamplingDefaults(), LONG_INPUT, True, Penalties()),
    (SamplingParams(temperature=0.0), SamplingDefaults(temperature=0.7), LONG_INPUT, True, LIGHT),
    (SILENT, SamplingDefaults(repetition_penalty=1.1), LONG_INPUT, True, Penalties(1.1)),
    (SamplingParams(repetition_penalty=1.0), SamplingDefaults(repetition_penalty=1.1), LONG_INPUT, True, Penalties()),
    (SamplingParams(presence_penalty=0.0), SamplingDefaults(), LONG_INPUT, True, Penalties()),
    (SamplingParams(frequency_penalty=0.3), SamplingDefaults(), 100, True, Penalties(frequency=0.3)),
]


@pytest.mark.parametrize(("params", "defaults", "prompt_tokens", "free", "expected"), CHOSEN)
def test_the_request_goes_before_the_model_and_the_model_before_the_light_default(
    params: SamplingParams, defaults: SamplingDefaults, prompt_tokens: int, free: bool, expected: Penalties
) -> None:
    assert penalties_for(params, defaults, prompt_tokens, free=free, long_input=1.05) == expected


@pytest.mark.parametrize(
    ("setting", "length", "drawn", "acted"),
    [
        (1.3, 258, {}, True),
        (1.3, 256, {}, False),
        (1.3, 258, {"temperature": 0.9, "seed": 1}, False),
        (1.0, 258, {}, False),
    ],
    ids=["greedy and long", "short", "drawn", "off"],
)
async def test_a_penalty_that_nobody_asked_for_is_told_where_it_acted(
    tmp_path: Path, setting: float, length: int, drawn: dict[str, Any], acted: bool
) -> None:
    question = prompt("word " * (LONG_INPUT // 5 + 1) + "la")
    limits = EngineLimits(long_input_penalty=setting)
    async with engine_of(reciting(tmp_path), limits) as engine:
        answer = await ask(engine, question, SamplingParams(max_tokens=length, repetition_limit=0, **drawn))
    assert answer.usage.completion_tokens == length, "the answer ended before the penalty could act"
    assert len([warning for warning in answer.warnings if "1.3" in warning]) == int(acted)


FILES: list[tuple[object, SamplingDefaults]] = [
    ({"temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0}, SamplingDefaults(0.6, 0.95, 20)),
    ({"do_sample": False, "temperature": 0.6, "repetition_penalty": 1.05}, SamplingDefaults(repetition_penalty=1.05)),
    ({"temperature": None, "top_p": "high", "top_k": True, "repetition_penalty": 50}, SamplingDefaults()),
    (["not", "an", "object"], SamplingDefaults()),
]


@pytest.mark.parametrize(("content", "expected"), FILES)
def test_a_models_own_values_are_read_as_far_as_they_make_sense(
    tmp_path: Path, content: object, expected: SamplingDefaults
) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps(content))
    assert read_sampling_defaults(tmp_path) == expected


def test_a_model_without_sampling_values_is_greedy(tmp_path: Path) -> None:
    assert read_sampling_defaults(tmp_path) == SamplingDefaults()
    (tmp_path / "generation_config.json").write_text("{")
    assert read_sampling_defaults(tmp_path) == SamplingDefaults()


async def test_a_loop_is_ended_and_said_to_be_one(tmp_path: Path) -> None:
    asked = SamplingParams(max_tokens=2000, temperature=0.0, repetition_limit=300)
    async with engine_of(reciting(tmp_path)) as engine:
        result = await ask(engine, "la", asked)
        never = await ask(engine, "la", dataclasses.replace(asked, max_tokens=500, repetition_limit=0))
    assert result.looped
    assert result.finish_reason == "length"
    assert 300 <= result.usage.completion_tokens < 500
    assert any("repeated itself" in warning for warning in result.warnings)
    assert not never.looped
    assert never.usage.completion_tokens == 500


async def test_counting_is_not_taken_for_a_loop(tmp_path: Path) -> None:
    asked = SamplingParams(max_tokens=2000, temperature=0.0, repetition_limit=200)
    async with engine_of(reciting(tmp_path)) as engine:
        result = await ask(engine, "count", asked)
    assert result.finish_reason == "stop"
    assert result.text == COUNTED


def test_a_call_goes_before_the_users_settings_and_those_before_nothing() -> None:
    user = SamplingParams(top_k=40, repetition_penalty=1.1, stop=("END",))
    call = SamplingParams(max_tokens=5, top_k=0)
    merged = SamplingParams(max_tokens=5, top_k=0, repetition_penalty=1.1, stop=("END",))
    assert call.over(user) == merged
    assert SamplingParams().over(user) == user


def test_settings_hold_sampling_values(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("top_k = 20\nfrequency_penalty = 0.5\n")
    sampling = load_settings(file, {"MCP_LOCAL_LLM_MIN_P": "0.1"}).sampling
    assert sampling == SamplingParams(top_k=20, min_p=0.1, frequency_penalty=0.5, repetition_limit=1024)


async def test_the_users_settings_reach_the_engine(environ: dict[str, str], home: Path) -> None:
    async with opened({**environ, "MCP_LOCAL_LLM_REPETITION_LIMIT": "256"}, home) as app:
        result = await collect_result(app.llm.chat(ChatRequest(prompt(LOOP), thinking=False), ignore))
    assert result.looped
    assert result.usage.completion_tokens < 400
