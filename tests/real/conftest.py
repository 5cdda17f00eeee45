"""SmolLM2-135M-Instruct, and what bare mlx-lm answers with it. `make test-real` fetches the model first."""

import importlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import anyio
import pytest
from mlx_lm.utils import load

from benchmarks.discovered import model_in
from mcp_local_llm.engines.mlx import EngineLimits, MlxLoader
from mcp_local_llm.engines.mlx.engine import MlxEngine
from mcp_local_llm.values.chat import Message
from mcp_local_llm.values.model import ModelInfo
from tests.clients import WAIT_S
from tests.engines.mlx.asking import ignore, prompt
from training.real_model import RealModel, kept_model

SYSTEM = "Be brief."
"""In place of the template's own system prompt, which is twice as long; MLX reads seven tokens a second on a CPU."""
TOKENS = 8
"""Longest answer."""
DOZEN_S = 6 * WAIT_S
"""Longest wait for an answer to each of the questions; they take about fifty seconds on two quiet cores."""
QUESTIONS = (
    "Hi",
    "What is the capital of France?",
    "Name three colours.",
    "Say hello.",
    "2+2=",
    "Is water wet?",
    "Wie heißt du?",
    "Write a haiku.",
    "def add(a, b):",
    "Who wrote Hamlet?",
    "日本の首都は?",
    "List: 1. apple 2.",
)
THIRTY = (
    *QUESTIONS,
    "Why is the sky blue?",
    "Translate to French: cat",
    "Count: 1, 2, 3,",
    "SELECT * FROM",
    "Ça va ?",
    "1 km in m?",
    "A rhyme for light?",
    "Is 7 prime?",
    "Opposite of hot?",
    "for i in range(",
    "Tell a joke.",
    '{"a": 1,',
    "Привет!",
    "  indented",
    "Who are you?",
    "<b>bold</b>",
    "Days of a week?",
    "Name a river.",
)
"""The dozen, and more of the same shortness."""


@dataclass(frozen=True)
class Reference:
    """What `stream_generate` of mlx-lm makes of a question, greedily.

    Attributes:
        pieces: text, token by token, without the token that ends the turn.
        finish_reason: "stop" or "length".
        prompt_tokens: length of the prompt by the tokenizer.
        tokens: length of the answer, the end of the turn included.
    """

    pieces: tuple[str, ...]
    finish_reason: str
    prompt_tokens: int
    tokens: int

    @property
    def text(self) -> str:
        """The text as a chat shows it: without a last character that was cut in two, and without blanks at its end."""
        return "".join(self.pieces).removesuffix("\ufffd").rstrip()


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def model() -> RealModel:
    found = kept_model()
    assert found is not None, "the model is not here; `make test-real` fetches it"
    return found


@pytest.fixture(scope="session")
def info(model: RealModel) -> ModelInfo:
    """The model as discovery finds it."""
    return model_in(model.mlx)


@pytest.fixture(scope="session")
def references(model: RealModel) -> dict[str, Reference]:
    """Question → what bare mlx-lm answers."""
    return bare_answers(model, THIRTY)


@pytest.fixture(scope="module")
async def engine(info: ModelInfo) -> AsyncGenerator[MlxEngine]:
    """The engine, loaded once for a module."""
    backend = MlxLoader(EngineLimits(batch_size=4))
    try:
        with anyio.fail_after(WAIT_S):
            loaded = await backend.load(info, ignore)
        yield loaded
    finally:
        backend.close()
        assert backend.join(WAIT_S), "the MLX thread did not end"


def asked(question: str) -> tuple[Message, ...]:
    """The conversation that asks a question."""
    return prompt(question, SYSTEM)


def bare_answers(model: RealModel, questions: Sequence[str]) -> dict[str, Reference]:
    """What bare mlx-lm answers to each question, read from its first token, by a cache of its own."""
    network, tokenizer = cast(tuple[Any, Any], load(str(model.mlx))[:2])
    return {question: _reference(network, tokenizer, asked(question)) for question in questions}


def model_settings(model: RealModel) -> dict[str, str]:
    """The environment variables of a server that has the model."""
    return {"MCP_LOCAL_LLM_FOLDERS": str(model.mlx.parent), "MCP_LOCAL_LLM_MODEL": model.mlx.name}


def _reference(network: Any, tokenizer: Any, messages: tuple[Message, ...]) -> Reference:
    # By its module: `mlx_lm.generate` is also a function.
    stream: Any = importlib.import_module("mlx_lm.generate").stream_generate
    turns = [{"role": message.role, "content": message.content} for message in messages]
    ids: list[int] = tokenizer.apply_chat_template(turns, add_generation_prompt=True)
    steps = list(stream(network, tokenizer, ids, TOKENS))
    pieces = tuple(step.text for step in steps if step.text)
    return Reference(pieces, steps[-1].finish_reason, len(ids), len(steps))
