"""Calls that arrive together share forward passes, and nobody notices but the clock."""

from typing import Any, cast

import anyio
import mlx.core as mx
import pytest
from mlx_lm.utils import load

from mcp_local_llm.engines.mlx import EngineLimits
from mcp_local_llm.engines.mlx.engine import MlxEngine
from mcp_local_llm.values.chat import ChatResult, SamplingParams
from mcp_local_llm.values.errors import BusyError, ContextLengthError, InvalidRequestError
from mcp_local_llm.values.model import ModelInfo
from tests.engines.mlx.asking import GREEDY, ask, ask_until, engine_of, prompt

QUESTIONS = (
    "Hello",
    "What is 2+2?",
    "Tell me a story about a lighthouse.",
    "Who are you?",
    "Name three colours.",
    "What is 7 times 6? Show your work.",
    "Write a poem.",
    "Say goodbye in four languages, please, and explain each.",
)

TIE = 0.25
"""Two logits closer than this are a tie: tiny computes in bfloat16, whose steps between 16 and 32 are 0.125, and a
batch adds up in another order."""


async def test_eight_greedy_answers_in_a_batch_equal_those_alone(tiny: ModelInfo) -> None:
    async with engine_of(tiny, EngineLimits(batch_size=8)) as engine:
        alone = [await ask(engine, question) for question in QUESTIONS]
    async with engine_of(tiny, EngineLimits(batch_size=8)) as engine:
        together = await _together(engine, [{"text": question} for question in QUESTIONS])
    for question, one, other in zip(QUESTIONS, alone, together, strict=True):
        raw, batched = one.reasoning + one.text, other.reasoning + other.text
        assert raw == batched or _gap(tiny, question, raw, batched) <= TIE, question


async def test_requests_that_sample_in_different_ways_share_a_batch(tiny: ModelInfo) -> None:
    async with engine_of(tiny) as engine:
        greedy = await ask(engine, "Hello")
        seeded = SamplingParams(max_tokens=40, temperature=1.2, seed=7)
        first = await ask(engine, "Tell me something.", seeded)
        mixed = await _together(
            engine,
            [
                {"text": "Hello"},
                {"text": "Tell me something.", "sampling": seeded},
                {"text": "Write a poem.", "sampling": SamplingParams(max_tokens=40, temperature=0.8, top_p=0.9)},
            ],
        )
    assert mixed[0].text == greedy.text
    assert mixed[1].usage.completion_tokens > 1
    assert first.text


async def test_a_seed_gives_the_same_answer_whoever_else_is_in_the_batch(tiny: ModelInfo) -> None:
    sampling = SamplingParams(max_tokens=12, temperature=1.0, seed=11)
    async with engine_of(tiny) as engine:
        alone = await ask(engine, "Tell me something.", sampling)
        again = await ask(engine, "Tell me something.", sampling)
    assert (alone.reasoning, alone.text) == (again.reasoning, again.text)


async def test_a_request_over_the_queues_bound_is_refused_with_the_numbers(tiny: ModelInfo) -> None:
    refused: list[str] = []
    answered: list[ChatResult] = []

    async def call(engine: MlxEngine) -> None:
        try:
            answered.append(await ask(engine, "Hello"))
        except BusyError as error:
            refused.append(str(error))

    async with engine_of(tiny, EngineLimits(batch_size=1, queue_size=2)) as engine:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(call, engine)
        assert len(answered) == 3
        assert refused == 2 * [
            "1 calls are running and 2 are waiting; the queue holds 2. Try again when one has finished."
        ]
        assert (await ask(engine, "Hello")).text


async def test_a_queue_that_one_client_has_filled_still_takes_a_request_of_another(tiny: ModelInfo) -> None:
    limits = EngineLimits(batch_size=1, queue_size=1)
    async with engine_of(tiny, limits) as engine, anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(ask, engine, "Count from 1 to 150.", GREEDY, "busy")
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(BusyError):
            await ask(engine, "Hello", client="busy")
        assert (await ask(engine, "Hello", client="other")).text


@pytest.mark.parametrize(("queue", "total"), [(0, 4), (1, 4), (2, 8)])
async def test_clients_with_ever_new_names_meet_a_bound_of_all_together(
    tiny: ModelInfo, queue: int, total: int
) -> None:
    answered: list[ChatResult] = []
    refused: list[str] = []

    async def call(engine: MlxEngine, client: str) -> None:
        try:
            answered.append(await ask(engine, "Hello", client=client))
        except BusyError as error:
            refused.append(str(error))

    async with engine_of(tiny, EngineLimits(batch_size=1, queue_size=queue)) as engine:
        async with anyio.create_task_group() as group:
            for number in range(1 + total + 3):
                group.start_soon(call, engine, f"client {number}")
        assert len(answered) == 1 + total
        assert refused == 3 * [
            f"1 calls are running and {total} are waiting; the queue holds {total} of all clients together, and "
            f"{queue} of one. Try again when one has finished."
        ]
        assert (await ask(engine, "Hello", client="one more")).text


async def test_a_client_that_sends_many_requests_delays_another_by_one(tiny: ModelInfo) -> None:
    order: list[str] = []

    async def call(engine: MlxEngine, client: str, number: int) -> None:
        await ask(engine, f"Hello {number}", client=client)
        order.append(f"{client}{number}")

    async with engine_of(tiny, EngineLimits(batch_size=1)) as engine, anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(call, engine, "many", number)
        group.start_soon(call, engine, "one", 0)
    assert order == ["many0", "one0", "many1", "many2", "many3"]


async def test_a_request_that_is_given_up_in_prefill_leaves_its_prefix_and_the_next_is_right(tiny: ModelInfo) -> None:
    long = "one two three four five six seven eight nine ten " * 40
    async with engine_of(tiny) as engine:
        cold = await ask(engine, long)
    async with engine_of(tiny, EngineLimits()) as engine:
        await ask_until(engine, long, ["prefill"], 1)
        result = await ask(engine, long)
    assert result.usage.cached_tokens > 0
    assert (result.reasoning, result.text) == (cold.reasoning, cold.text)


async def test_a_request_that_is_given_up_in_decode_leaves_the_next_one_right(tiny: ModelInfo) -> None:
    async with engine_of(tiny) as engine:
        cold = await ask(engine, "Hello")
        await ask_until(engine, "Tell me a story about a lighthouse.", ["reasoning", "answer"], 3)
        assert (await ask(engine, "Hello")).text == cold.text


async def test_giving_up_one_of_a_batch_leaves_the_others_alone(tiny: ModelInfo) -> None:
    results: list[ChatResult] = []

    async def keep(engine: MlxEngine) -> None:
        results.append(await ask(engine, "Tell me a story about a lighthouse."))

    async with engine_of(tiny) as engine:
        cold = await ask(engine, "Tell me a story about a lighthouse.")
        async with anyio.create_task_group() as group:
            group.start_soon(keep, engine)
            group.start_soon(ask_until, engine, "Write a poem.", ("reasoning", "answer"), 2)
    assert [result.text for result in results] == [cold.text]


async def test_prompt_and_answer_are_held_against_the_window_before_anything_is_computed(tiny: ModelInfo) -> None:
    async with engine_of(tiny) as engine:
        with pytest.raises(ContextLengthError) as raised:
            await ask(engine, "Hello", SamplingParams(max_tokens=10_000))
        assert "10000" in str(raised.value)
        assert str(tiny.context_length) in str(raised.value)
        assert (await ask(engine, "Hello")).usage.cached_tokens == 0


async def test_an_answer_limit_above_the_cap_is_refused_with_both_numbers(tiny: ModelInfo) -> None:
    async with engine_of(tiny, EngineLimits(max_generation_tokens=100)) as engine:
        with pytest.raises(InvalidRequestError) as raised:
            await ask(engine, "Hello", SamplingParams(max_tokens=101))
        assert "101" in str(raised.value)
        assert "100" in str(raised.value)
        assert (await ask(engine, "Hello", SamplingParams(temperature=0.0))).usage.completion_tokens <= 100


async def _together(engine: MlxEngine, requests: list[dict[str, Any]]) -> list[ChatResult]:
    """The answers to requests that arrive at the same moment, in their order."""
    results: dict[int, ChatResult] = {}

    async def call(number: int, request: dict[str, Any]) -> None:
        results[number] = await ask(engine, request["text"], request.get("sampling", GREEDY))

    async with anyio.create_task_group() as group:
        for number, request in enumerate(requests):
            group.start_soon(call, number, request)
    return [results[number] for number in range(len(requests))]


def _gap(model: ModelInfo, question: str, one: str, other: str) -> float:
    """The distance of the two best logits where two answers part."""
    network, tokenizer = cast(tuple[Any, Any], load(str(model.path))[:2])
    messages = [{"role": "user", "content": message.content} for message in prompt(question)]
    text: str = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    same = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    tokens = tokenizer.encode(f"{text}<think>\n{one[:same]}", add_special_tokens=False)
    logits: Any = network(mx.array(tokens)[None])[0, -1].astype(mx.float32)
    second, first = cast(list[float], mx.sort(logits)[-2:].tolist())
    return first - second
