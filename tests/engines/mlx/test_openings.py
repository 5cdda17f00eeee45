"""A model whose template opens a block that its vocabulary has no token for, and what a prompt says of the answer."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest

from mcp_local_llm.engines.mlx.engine import MlxEngine
from mcp_local_llm.models.find.folder import ModelLocation, describe_folder
from mcp_local_llm.values.chat import ChatRequest, ChatResult, SamplingParams
from tests.behaviour.reciting_model import Script, cut, raw_prompt, write_reciting_model
from tests.engines.mlx.asking import answer, engine_of, prompt

WORDS = " ".join(str(number) for number in range(40))
OPENED = ("<mm:think>", "<think:opensource>", "<longcat_think>", "<|think:start|>", "[THINK]")
SCRIPTS = {
    **{
        opener: Script(cut(f"2 and 2.{closer}\n\nFour.", size=7), opening=f"{opener}\n")
        for opener, closer in (
            ("<mm:think>", "</mm:think>"),
            ("<think:opensource>", "</think:opensource>"),
            ("<longcat_think>", "</longcat_think>"),
            ("<|think:start|>", "<|think:end|>"),
            ("[THINK]", "[/THINK]"),
        )
    },
    "endless": Script(cut("so and so "), opening="<mm:think>\n", ends=False),
    "plain": Script(cut(WORDS)),
    "talk": Script(cut("Phi ends a message with <|end|>, and </think> closes the thought, and then some.")),
    "another turn": Script(("Four", ".", "<|im_start|>", "user\n", "And 3?"), whole_tags=True),
    "an echoed header": Script(cut("<|im_start|>assistant\nFour.")),
    "spaces": Script((" Paris", ".")),
    "emoji": Script(("Yes", " ", "\N{PARTY POPPER}")),
}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[MlxEngine]:
    folder: Path = write_reciting_model(tmp_path_factory.mktemp("models") / "reciting", SCRIPTS)
    async with engine_of(describe_folder(ModelLocation("reciting", folder, "folder"), None)) as engine:
        yield engine


async def streamed(engine: MlxEngine, request: ChatRequest) -> tuple[list[str], str, ChatResult]:
    """The pieces of text, the reasoning, and the result of a stream."""
    texts, reasoning = list[str](), ""
    async with aclosing(engine.stream(request)) as chunks:
        async for chunk in chunks:
            texts += [chunk.text] if chunk.text else []
            reasoning += chunk.reasoning
            if chunk.result is not None:
                return texts, reasoning, chunk.result
    raise AssertionError("the stream ended without a result")


@pytest.mark.parametrize("name", OPENED)
async def test_a_block_that_the_template_opened_is_reasoning_without_a_token_for_it(
    engine: MlxEngine, name: str
) -> None:
    whole = await answer(engine, ChatRequest(prompt(name)))
    assert (whole.text, whole.reasoning, whole.thinking_closed) == ("Four.", "2 and 2.", True)
    _, reasoning, result = await streamed(engine, ChatRequest(prompt(name), stream=True))
    assert (result.text, result.reasoning) == ("Four.", "2 and 2.")
    assert reasoning == "2 and 2."


async def test_the_thinking_budget_closes_such_a_block(engine: MlxEngine) -> None:
    sampling = SamplingParams(max_tokens=60, repetition_limit=0)
    asked = ChatRequest(prompt("endless"), max_thinking_tokens=4, sampling=sampling)
    result = await answer(engine, asked)
    assert (result.thinking_closed, result.finish_reason) == (True, "stop")
    assert result.reasoning.startswith("so and so")
    assert result.usage.reasoning_tokens <= 4
    assert not [warning for warning in result.warnings if "max_thinking_tokens" in warning]


async def test_a_budget_that_is_not_spent_closes_no_second_time(engine: MlxEngine) -> None:
    result = await answer(engine, ChatRequest(prompt("<mm:think>"), max_thinking_tokens=30))
    assert (result.text, result.reasoning) == ("Four.", "2 and 2.")


async def test_a_plain_answer_streams_from_its_first_token_on(engine: MlxEngine) -> None:
    texts, _, result = await streamed(engine, ChatRequest(prompt("plain"), stream=True))
    assert texts[0] == WORDS[: len(texts[0])]
    assert len(texts[0]) <= 5
    assert len(texts) > 15
    assert "".join(texts) == result.text == WORDS


async def test_an_answer_about_markup_comes_whole_and_streams(engine: MlxEngine) -> None:
    told = "".join(SCRIPTS["talk"].pieces)
    texts, _, result = await streamed(engine, ChatRequest(prompt("talk"), stream=True))
    assert result.text == told
    assert "".join(texts) == told
    assert result.warnings == ()


async def test_a_turn_ends_by_the_id_of_a_token_that_begins_another_one(engine: MlxEngine) -> None:
    result = await answer(engine, ChatRequest(prompt("another turn")))
    assert (result.text, result.finish_reason) == ("Four.", "stop")
    assert (await answer(engine, ChatRequest(prompt("an echoed header")))).text == "Four."


async def test_a_raw_completion_keeps_its_first_space(engine: MlxEngine) -> None:
    asked = ChatRequest((), prompt=raw_prompt(SCRIPTS, "spaces", "The capital of France is"))
    assert (await answer(engine, asked)).text == " Paris."
