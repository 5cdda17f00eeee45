"""What counting costs beside rendering and tokenizing: `python -m benchmarks.counting [--rounds 7]`.

Claude Code's `/context` asks for 25 counts at once: each tool with a message "foo", and the parts of the conversation,
0.1 to 36 KB. They are counted one after the other on one thread without an engine, then at once by the engine, then at
once while it generates. Exits with 1 where a ratio of medians is above the promise.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import anyio

from benchmarks.agent_models import make_attention
from benchmarks.agent_sessions import engine_for
from benchmarks.agent_shapes import MAIN, AgentSession, prose, tools_of
from benchmarks.discovered import model_in
from mcp_local_llm.engines.mlx.engine import MlxEngine
from mcp_local_llm.engines.mlx.load.weights import load
from mcp_local_llm.engines.mlx.prompt.render import count
from mcp_local_llm.engines.mlx.prompt.text_model import TextModel
from mcp_local_llm.values.chat import ChatRequest, Message

AT_ONCE, GENERATING = 3.0, 2.0
"""Promised: the counts at once over the same alone, and those beside a generation over those without one."""


def context_counts() -> list[ChatRequest]:
    """Return 25 requests in the sizes that `/context` sends."""
    foo, tools = (Message(role="user", content="foo"),), tools_of(MAIN, "project")
    texts = [
        prose(size, f"part {size}") for size in (40, 100, 300, 600, 900, 1_200, 2_000, 2_100, 3_600, 9_000, 12_000)
    ]
    first = AgentSession(MAIN, "project", "main")
    return [
        *(ChatRequest(foo, tools=(tool,)) for tool in tools),
        *(ChatRequest((Message(role="user", content=text),)) for text in texts),
        ChatRequest(foo, tools=tools),
        first.request(),
    ]


async def at_once(engine: MlxEngine, items: Sequence[ChatRequest]) -> float:
    """Return the seconds until all are counted."""
    started = time.perf_counter()
    async with anyio.create_task_group() as group:
        for item in items:
            group.start_soon(engine.count, [item])
    return time.perf_counter() - started


async def generating(engine: MlxEngine, during: Callable[[], Awaitable[list[float]]]) -> list[float]:
    """Do something while the engine generates."""
    request = AgentSession(MAIN.divided(8), "other", "long").request(tokens=25_000)
    async with aclosing(engine.stream(replace(request, lower_max_tokens=True))) as chunks:
        async for chunk in chunks:
            if chunk.progress is not None and chunk.progress.phase in ("reasoning", "answer"):
                return await during()
    raise RuntimeError("the answer was over at once")


async def measure(folder: Path, rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Return the seconds of each round: alone, at once, at once beside a generation."""
    items = context_counts()
    async with engine_for(model_in(folder), None) as engine:

        async def counted() -> list[float]:
            return [await at_once(engine, items) for _ in range(rounds)]

        text = load(engine.model, lambda done, total: None, lambda: False, None).text
        alone = [_alone(text, items) for _ in range(rounds)]
        return alone, await counted(), await generating(engine, counted)


def _alone(text: TextModel, items: Sequence[ChatRequest]) -> float:
    started = time.perf_counter()
    for item in items:
        count(item, text)
    return time.perf_counter() - started


def main() -> None:
    """Measure, print the table, and say by the exit code whether the promises are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each kind (default: 7)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as scratch:
        series = asyncio.run(measure(make_attention(Path(scratch).resolve() / "model"), rounds))
    print("| 25 counts | median | slowest |\n| --- | --- | --- |")
    for name, seconds in zip(("alone", "at once", "at once beside a generation"), series, strict=True):
        print(f"| {name} | {1000 * statistics.median(seconds):.1f} ms | {1000 * max(seconds):.1f} ms |")
    alone, together, beside = map(statistics.median, series)
    print(f"\nat once / alone: {together / alone:.2f} (promised: at most {AT_ONCE:g})")
    print(f"beside a generation / at once: {beside / together:.2f} (promised: at most {GENERATING:g})")
    sys.exit(0 if together <= AT_ONCE * alone and beside <= GENERATING * together else 1)


if __name__ == "__main__":
    main()
