"""What is measured: a model, and the ways to run it that are compared. One process, one machine, taking turns."""

import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

from benchmarks.bare import Bare
from benchmarks.discovered import model_in
from benchmarks.figures import require_tokens
from benchmarks.model_folders import make_endless_tiny
from benchmarks.peers import Installed
from benchmarks.random_model import DENSE_05B, HALF, QWEN_05B, SMALL, Shape, make_model
from mcp_local_llm.engines.mlx import EngineLimits, MlxLoader
from mcp_local_llm.engines.mlx.engine import MlxEngine
from mcp_local_llm.values.chat import ChatRequest, ChatResult, Message, SamplingParams
from mcp_local_llm.values.model import ModelInfo

SHAPES: dict[str, Shape] = {"small": SMALL, "half": HALF, "realistic": QWEN_05B, "dense": DENSE_05B}
"""Models of random weights, by name."""
MODELS = ("tiny", *SHAPES)
"""What can be measured: the built-in model and those."""
SLOW = 50.0
"""Tokens of a prompt a second below which a comparison of long prompts would take hours."""


@dataclass(frozen=True)
class Sizes:
    """How much of everything, so that a run takes minutes: tokens of answers and prompts, and how often.

    Attributes:
        rounds: turns that everybody takes; `repeats` times as many where single streams and loads are compared.
        calls: over stdio in a round, where a call's own time is looked for.
    """

    rounds: int = 5
    repeats: int = 1
    decode: int = 256
    together: int = 128
    question: int = 30
    calls: int = 5
    long_prompt: int = 4096
    file: int = 8192

    @property
    def streams(self) -> int:
        """Turns where single streams and loads are compared."""
        return self.rounds * self.repeats

    def for_tiny(self) -> "Sizes":
        """Return sizes for a model whose token takes a millisecond: bare mlx-lm differs by 5 % from itself there."""
        return replace(self, repeats=5)

    def for_slow(self) -> "Sizes":
        """Return sizes for a model that takes the better part of a second for a token."""
        return replace(self, decode=24, together=8, question=6, calls=1)


@dataclass(frozen=True)
class Subject:
    """A model with the sizes that suit it, and the other engines that run it, too.

    Attributes:
        reads: tokens of a prompt that bare mlx-lm reads in a second, roughly.
    """

    name: str
    info: ModelInfo
    sizes: Sizes
    peers: tuple[Installed, ...]
    reads: float

    @property
    def slow(self) -> bool:
        """Whether long prompts take too long here."""
        return self.reads < SLOW


def make_subject(name: str, scratch: Path, sizes: Sizes, peers: Sequence[Installed] = ()) -> Subject:
    """Write the model `name` (one of `MODELS`) into `scratch`; none of them ends an answer by itself.

    One that is slow on this machine gets shorter answers, and of `peers` only mlx-lm's own server, the first.
    """
    folder = scratch / f"bench-{name}"
    if name == "tiny":
        make_endless_tiny(folder)
        sizes = sizes.for_tiny()
    elif not folder.exists():
        make_model(folder, SHAPES[name])
    bare = Bare(folder)
    bare.first_token(user("Warm up."))
    prompt = user(words(32, bare, "speed"))
    subject = Subject(name, model_in(folder), sizes, tuple(peers), len(bare.prompt(prompt)) / bare.first_token(prompt))
    return replace(subject, sizes=sizes.for_slow(), peers=subject.peers[:1]) if subject.slow else subject


@asynccontextmanager
async def engine_for(subject: Subject, limits: EngineLimits | None = None) -> AsyncGenerator[MlxEngine]:
    """Our engine in this process."""
    backend = MlxLoader(limits)
    try:
        yield await backend.load(subject.info, lambda progress: None)
    finally:
        backend.close()
        backend.join(60)


async def ask(engine: MlxEngine, messages: Sequence[Message], tokens: int) -> tuple[ChatResult, float]:
    """Return our engine's greedy answer of `tokens` tokens and the seconds until it was here."""
    sampling = SamplingParams(max_tokens=tokens, temperature=0.0, repetition_limit=0)
    started = time.perf_counter()
    async with aclosing(engine.stream(ChatRequest(tuple(messages), sampling=sampling))) as chunks:
        async for chunk in chunks:
            if chunk.result is not None:
                seconds = time.perf_counter() - started
                require_tokens(chunk.result.usage.completion_tokens, tokens)
                return chunk.result, seconds
    raise RuntimeError("the engine ended without an answer")


@asynccontextmanager
async def stdio_for(subject: Subject, home: Path) -> AsyncGenerator[Client]:
    """Our server in a process of its own, behind real pipes."""
    environ = {
        "HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "MCP_LOCAL_LLM_FOLDERS": str(subject.info.path.parent),
        "MCP_LOCAL_LLM_MODEL": subject.info.id,
    }
    parameters = StdioServerParameters(command=sys.executable, args=["-m", "mcp_local_llm"], env=environ)
    async with Client(parameters) as client:
        yield client


@asynccontextmanager
async def bare_stdio_for(subject: Subject, home: Path) -> AsyncGenerator[Client]:
    """Bare mlx-lm behind the SDK's server, in a process of its own."""
    arguments = ["-m", "benchmarks.bare_server", str(subject.info.path)]
    environ = {"HOME": str(home), "HF_HUB_OFFLINE": "1"}
    async with Client(StdioServerParameters(command=sys.executable, args=arguments, env=environ)) as client:
        yield client


async def ask_stdio(client: Client, message: str, tokens: int) -> tuple[dict[str, Any], float]:
    """Return the numbers of an answer over stdio, and the seconds until it was here."""
    arguments = {"message": message, "max_tokens": tokens, "temperature": 0.0}
    started = time.perf_counter()
    result = await client.call_tool("chat", arguments)
    seconds = time.perf_counter() - started
    if result.is_error or result.meta is None:
        raise RuntimeError(f"chat failed: {result.content}")
    numbers: dict[str, Any] = result.meta["local-llm/result"]
    require_tokens(numbers["usage"]["completion_tokens"], tokens)
    return numbers, seconds


@dataclass(frozen=True)
class Bench:
    """A subject, loaded in every way that one process allows."""

    subject: Subject
    bare: Bare
    engine: MlxEngine


@asynccontextmanager
async def bench_for(subject: Subject, limits: EngineLimits | None = None) -> AsyncGenerator[Bench]:
    """Bare mlx-lm on this thread, our engine on its own."""
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(engine_for(subject, limits))
        yield Bench(subject, Bare(subject.info.path), engine)


def user(text: str) -> list[Message]:
    """Return a conversation of one question."""
    return [Message(role="user", content=text)]


def words(tokens: int, bare: Bare, salt: str) -> str:
    """Return a text of about `tokens` tokens that begins with `salt`, so that no cache knows it."""
    text = "".join(f" the {number} of {salt} is here;" for number in range(tokens))
    ids = bare.tokens_of(f"{salt}:{text}")[:tokens]
    return bare.text_of(ids)
