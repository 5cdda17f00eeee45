"""What the engine's tests share: a loaded engine, and short ways to ask it."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager

import anyio

from mcp_local_llm.engines.mlx import EngineLimits, MlxLoader
from mcp_local_llm.engines.mlx.engine import MlxEngine
from mcp_local_llm.values.chat import ChatRequest, ChatResult, Message, SamplingParams
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.progress import Phase, Progress
from tests.clients import WAIT_S

GREEDY = SamplingParams(max_tokens=48, temperature=0.0)


def ignore(progress: Progress) -> None:
    """Take progress that the test does not look at."""


def prompt(text: str, system: str | None = None, history: Sequence[tuple[str, str]] = ()) -> tuple[Message, ...]:
    """A conversation: pairs of question and answer, then `text`."""
    turns = [Message(role="system", content=system)] if system else []
    for question, answer in history:
        turns += [Message(role="user", content=question), Message(role="assistant", content=answer)]
    return (*turns, Message(role="user", content=text))


@asynccontextmanager
async def engine_of(model: ModelInfo, limits: EngineLimits | None = None) -> AsyncGenerator[MlxEngine]:
    """An engine with `model` loaded; its thread ends with the block, and the block ends in time."""
    backend = MlxLoader(limits)
    try:
        with anyio.fail_after(WAIT_S):
            yield await backend.load(model, ignore)
    finally:
        backend.close()
        assert backend.join(WAIT_S), "the MLX thread did not end"


async def ask(
    engine: MlxEngine,
    text: str | tuple[Message, ...],
    sampling: SamplingParams = GREEDY,
    client: str = "",
) -> ChatResult:
    """The answer to one request."""
    messages = prompt(text) if isinstance(text, str) else text
    return await answer(engine, ChatRequest(messages, sampling=sampling, client=client))


async def answer(engine: MlxEngine, request: ChatRequest) -> ChatResult:
    """The answer to a request that says more than text and sampling."""
    async with aclosing(engine.stream(request)) as chunks:
        async for chunk in chunks:
            if chunk.result is not None:
                return chunk.result
    raise AssertionError("the stream ended without a result")


async def ask_until(engine: MlxEngine, text: str | tuple[Message, ...], phases: Sequence[Phase], done: int) -> None:
    """Begin a request, and give it up as soon as it is in one of `phases` with `done` counted there."""
    messages = prompt(text) if isinstance(text, str) else text
    async with aclosing(engine.stream(ChatRequest(messages, sampling=GREEDY, stream=True))) as chunks:
        async for chunk in chunks:
            assert chunk.result is None, "the answer was over before it could be given up"
            if chunk.progress is not None and chunk.progress.phase in phases and chunk.progress.done >= done:
                return
