"""Token by token the engine answers what bare mlx-lm answers, whatever it saves on the way.

Equal means equal: this holds bit by bit on a CPU, where MLX adds up each row of a batch as it does a row alone.
"""

from contextlib import aclosing

import anyio
import pytest

from mcp_local_llm.engines.mlx import EngineLimits, MlxLoader
from mcp_local_llm.engines.mlx.engine import MlxEngine
from mcp_local_llm.values.chat import ChatRequest, ChatResult, SamplingParams
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.progress import Phase
from tests.clients import WAIT_S
from tests.engines.mlx.asking import ask_until, ignore
from tests.real.conftest import DOZEN_S, QUESTIONS, THIRTY, TOKENS, Reference, asked

pytestmark = pytest.mark.real


async def test_thirty_questions_one_after_another(engine: MlxEngine, references: dict[str, Reference]) -> None:
    with anyio.fail_after(3 * DOZEN_S):
        for question in THIRTY:
            result, _ = await answer(engine, question)
            assert facts(result) == expected(references[question]), question


async def test_the_same_prompts_out_of_the_prefix_cache_streamed(
    engine: MlxEngine, references: dict[str, Reference]
) -> None:
    with anyio.fail_after(DOZEN_S):
        for question in QUESTIONS:
            await answer(engine, question, tokens=1)
            result, pieces = await answer(engine, question, stream=True)
            assert result.usage.cached_tokens == result.usage.prompt_tokens - 1
            assert result.text.startswith("".join(pieces))
            assert facts(result) == expected(references[question]), question


async def test_all_at_once_in_batches_of_four(info: ModelInfo, references: dict[str, Reference]) -> None:
    together: dict[str, ChatResult] = {}
    backend = MlxLoader(EngineLimits(batch_size=4))

    async def one(engine: MlxEngine, question: str) -> None:
        together[question], _ = await answer(engine, question)

    try:
        with anyio.fail_after(DOZEN_S):
            # A fresh engine, so that the prompts are read in each other's company as well.
            engine = await backend.load(info, ignore)
            async with anyio.create_task_group() as group:
                for question in QUESTIONS:
                    group.start_soon(one, engine, question)
    finally:
        backend.close()
        assert backend.join(WAIT_S), "the MLX thread did not end"
    assert {question: facts(result) for question, result in together.items()} == {
        question: expected(references[question]) for question in QUESTIONS
    }


@pytest.mark.parametrize(("phase", "done"), [("prefill", 1), ("answer", 3)])
async def test_after_a_cancelled_call_and_beside_one(
    engine: MlxEngine, references: dict[str, Reference], phase: Phase, done: int
) -> None:
    first, second = QUESTIONS[:2]
    phases: list[Phase] = [phase]
    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as group:
            group.start_soon(ask_until, engine, asked(f"Count to {done} hundred."), phases, done)
            beside, _ = await answer(engine, first)
            assert facts(beside) == expected(references[first])
        after, _ = await answer(engine, second)
        assert facts(after) == expected(references[second])


def facts(result: ChatResult) -> tuple[str, str, int, int]:
    """What an answer says, why it ended, and what it counted."""
    return (result.text, result.finish_reason, result.usage.prompt_tokens, result.usage.completion_tokens)


def expected(reference: Reference) -> tuple[str, str, int, int]:
    """The same of what mlx-lm made."""
    return (reference.text, reference.finish_reason, reference.prompt_tokens, reference.tokens)


async def answer(
    engine: MlxEngine, question: str, *, tokens: int = TOKENS, stream: bool = False
) -> tuple[ChatResult, tuple[str, ...]]:
    """The answer, and its text in the pieces that came."""
    pieces: list[str] = []
    sampling = SamplingParams(max_tokens=tokens, temperature=0.0)
    async with aclosing(engine.stream(ChatRequest(asked(question), sampling=sampling, stream=stream))) as chunks:
        async for chunk in chunks:
            pieces += [chunk.text] if chunk.text else []
            if chunk.result is not None:
                return chunk.result, tuple(pieces)
    raise AssertionError("the stream ended without a result")
