"""Tokens that sessions of coding agents make the engine read: `python -m benchmarks.agent_sessions [--divide 1]`.

Replays requests of Claude Code's shape: a main conversation with calls of tools, a subagent beside it, a title, a
summary, a second session, and the first one after its summary. The own tokens of a request are those by which it is
longer than the last one of its conversation. Exits with 1 where more is read than promised.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.agent_models import make_attention, make_hybrid
from benchmarks.agent_shapes import INSTRUCTION, MAIN, SUBAGENT, TITLE, AgentSession
from benchmarks.discovered import model_in
from mcp_local_llm.engines.mlx import EngineLimits, MlxLoader
from mcp_local_llm.engines.mlx.engine import MlxEngine
from mcp_local_llm.values.chat import ChatRequest, Usage
from mcp_local_llm.values.model import ModelInfo

TURN, SESSION, ROUNDS = 1.05, 0.25, 10
"""Promised: tokens read of a turn's own, of a cold start's by a second session, and how often two conversations
alternate."""


@dataclass(frozen=True)
class Reading:
    """One request: its tokens, those of its own, those that were read, and how many may be."""

    what: str
    prompt: int
    own: int
    read: int
    most: int

    def row(self) -> str:
        """Return the row of the table."""
        kept = "" if self.read <= self.most else " (too many)"
        return f"| {self.what} | {self.prompt:,} | {self.own:,} | {self.read:,} | {self.most:,}{kept} |"


async def usage_of(engine: MlxEngine, request: ChatRequest) -> Usage:
    """Return the counts of an answer."""
    async with aclosing(engine.stream(request)) as chunks:
        async for chunk in chunks:
            if chunk.result is not None:
                return chunk.result.usage
    raise RuntimeError("the engine ended without an answer")


class Replay:
    """Sends the requests of several conversations, and records what each of them made the engine read."""

    def __init__(self, engine: MlxEngine) -> None:
        self._engine = engine
        self._sent: dict[str, int] = {}
        self.readings: list[Reading] = []

    async def send(self, what: str, name: str, request: ChatRequest, most: float = TURN, of: int | None = None) -> None:
        """Send the next request of the conversation `name`; it may read `most` times `of`, or its own tokens."""
        usage = await usage_of(self._engine, request)
        own = usage.prompt_tokens - self._sent.get(name, 0)
        self._sent[name] = usage.prompt_tokens
        read, allowed = usage.prompt_tokens - usage.cached_tokens, int(most * (own if of is None else of))
        self.readings.append(Reading(what, usage.prompt_tokens, own, read, allowed))


async def replay(engine: MlxEngine, divide: int = 1, rounds: int = ROUNDS) -> Sequence[Reading]:
    """Replay the sessions in one engine; `divide` makes all of them smaller."""
    run = Replay(engine)
    main = AgentSession(MAIN.divided(divide), "project", "main")
    sub = AgentSession(SUBAGENT.divided(divide), "agent file", "sub")
    await run.send("main, first request", "main", main.request())
    cold = run.readings[0].prompt
    main.read(2_000 // divide)
    await run.send("main, result of a tool", "main", main.request())
    await run.send("subagent, first request", "sub", sub.request())
    for number in range(rounds):
        main.read(1_200 // divide) if number % 2 else main.say(800 // divide)
        sub.read(1_200 // divide)
        await asyncio.gather(
            run.send(f"main, round {number + 1}", "main", main.request()),
            run.send(f"subagent, round {number + 1}", "sub", sub.request()),
        )
    await run.send("title", "title", AgentSession(TITLE.divided(divide), "titles", "title").request())
    await run.send("main, summary asked for", "summary", main.compaction(characters=INSTRUCTION // divide), 0.3, cold)
    main.say(800 // divide)
    await run.send("main, goes on all the same", "main", main.request())
    second = AgentSession(MAIN.divided(divide), "project", "second")
    await run.send("second session of the project", "second", second.request(), SESSION, cold)
    main.compacted(2_000 // divide)
    await run.send("main, after the summary", "main again", main.request(), SESSION, cold)
    return run.readings


@asynccontextmanager
async def engine_for(info: ModelInfo, limits: EngineLimits | None) -> AsyncGenerator[MlxEngine]:
    """Our engine in this process."""
    backend = MlxLoader(limits)
    try:
        yield await backend.load(info, lambda progress: None)
    finally:
        backend.close()
        backend.join(60)


async def readings_of(folder: Path, divide: int) -> Sequence[Reading]:
    """Replay the sessions with the model in `folder`."""
    async with engine_for(model_in(folder), EngineLimits(batch_size=2)) as engine:
        return await replay(engine, divide)


def main() -> None:
    """Replay, print a table a model, and say by the exit code whether the promises are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--divide", type=int, default=1, help="make all texts so many times shorter (default: 1)")
    divide, broken = parser.parse_args().divide, 0
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch).resolve()
        for make, name in ((make_attention, "attention"), (make_hybrid, "hybrid")):
            readings = asyncio.run(readings_of(make(root / name), divide))
            print(f"\n| {name}, 151,936 words | prompt | own | read | at most |\n| --- | --- | --- | --- | --- |")
            print("\n".join(reading.row() for reading in readings), flush=True)
            broken += sum(reading.read > reading.most for reading in readings)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
