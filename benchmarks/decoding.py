"""How fast tokens come: one stream, the way over stdio, eight at once, and one beside a long prompt."""

import asyncio
import statistics
import time
from contextlib import aclosing
from functools import partial
from itertools import pairwise
from pathlib import Path

from mcp import Client

from benchmarks.figures import Row, Series, compare
from benchmarks.peer_group import PeerGroup, running
from benchmarks.peer_server import PeerServer
from benchmarks.peers import CALLS
from benchmarks.subjects import (
    Bench,
    Subject,
    ask,
    ask_stdio,
    bare_stdio_for,
    bench_for,
    engine_for,
    stdio_for,
    user,
    words,
)
from mcp_local_llm.engines.mlx import EngineLimits
from mcp_local_llm.engines.mlx.engine import MlxEngine
from mcp_local_llm.values.chat import ChatRequest, SamplingParams

ANSWER = 64
PROMISED = {"tiny": (0.97, 0.95, 0.75)}
"""Engine alone, over stdio, eight at once, as shares of bare mlx-lm; other models below."""
PROMISED_ELSE = (0.99, 0.98, 0.95)


QUESTION = "Tell me a long story about a lighthouse."


async def one_stream(subject: Subject, scratch: Path) -> list[Row]:
    """Decode speed of one answer, and what an answer of 64 tokens costs on its way over stdio."""
    engine_least, stdio_least, _ = PROMISED.get(subject.name, PROMISED_ELSE)
    name, rate, wall = subject.name, Series(), Series()
    async with (
        bench_for(subject) as bench,
        stdio_for(subject, scratch) as client,
        bare_stdio_for(subject, scratch) as bare_client,
    ):
        with running(subject.peers, subject.info.path) as peers:
            for number in range(-1, subject.sizes.streams):
                await _one_round(bench, (client, bare_client), peers, number, (rate, wall))
            titles = peers.titles()
    added, whole = statistics.median(wall["added"]), statistics.median(wall["stdio"])
    ends = [] if subject.slow else titles
    return [
        compare(
            "decode, engine / bare `stream_generate`", name, rate["engine"], rate["bare"], "tok/s", least=engine_least
        ),
        compare("decode, `chat` over stdio / bare", name, rate["stdio"], rate["bare"], "tok/s", least=stdio_least),
        *(compare(f"decode, {title} / bare", name, rate[peer], rate["bare"], "tok/s") for peer, title in titles),
        Row("64 tokens over stdio, ms outside the engine", name, whole, whole - added, "ms", added, most=5.0),
        compare("the same ms / those of bare mlx-lm behind the SDK's server", name, wall["added"], wall["bare"], "ms"),
        *(
            compare(f"64 tokens end to end, {title} / engine", name, wall[peer], wall["engine"], "ms")
            for peer, title in ends
        ),
    ]


async def _one_round(
    bench: Bench, clients: tuple[Client, Client], peers: PeerGroup, number: int, series: tuple[Series, Series]
) -> None:
    """Measure everybody once; the first round of all loads and fills caches."""
    rate, wall = series
    client, bare_client = clients
    tokens = bench.subject.sizes.decode
    bare = bench.bare.decode_rate(user(QUESTION), tokens)
    result, _ = await ask(bench.engine, user(QUESTION), tokens)
    numbers, _ = await ask_stdio(client, QUESTION, tokens)
    over_stdio = [await _outside(client) for _ in range(bench.subject.sizes.calls)]
    over_bare = [await _outside_bare(bare_client) for _ in range(bench.subject.sizes.calls)]
    rate.add(
        number,
        bare=bare,
        engine=(result.usage.completion_tokens - 1) / result.timings.decode_s,
        stdio=(numbers["usage"]["completion_tokens"] - 1) / numbers["timings"]["decode_s"],
        **peers.measure(lambda peer: peer.decode_rate(QUESTION, tokens)),
    )
    wall.add(
        number,
        stdio=statistics.median(whole for whole, _ in over_stdio),
        added=statistics.median(added for _, added in over_stdio),
        bare=statistics.median(over_bare),
    )
    if not bench.subject.slow:
        wall.add(
            number,
            engine=1000 * (await ask(bench.engine, user(QUESTION), ANSWER))[1],
            **peers.measure(lambda peer: 1000 * peer.answer(QUESTION, ANSWER)),
        )


async def _outside(client: Client) -> tuple[float, float]:
    """Return the milliseconds of an answer of 64 tokens over stdio, and those of them outside the engine."""
    numbers, seconds = await ask_stdio(client, QUESTION, ANSWER)
    inside = sum(numbers["timings"][phase] for phase in ("queued_s", "prefill_s", "decode_s"))
    return 1000 * seconds, 1000 * (seconds - inside)


async def _outside_bare(client: Client) -> float:
    """Return the milliseconds outside of mlx-lm of an answer of 64 tokens by bare mlx-lm behind the SDK's server."""
    started = time.perf_counter()
    result = await client.call_tool("chat", {"message": QUESTION, "max_tokens": ANSWER})
    seconds = time.perf_counter() - started
    if result.is_error or result.structured_content is None:
        raise RuntimeError(f"the bare server failed: {result.content}")
    return 1000 * (seconds - result.structured_content["seconds"])


async def eight_at_once(subject: Subject, scratch: Path) -> list[Row]:
    """Tokens per second of eight calls that arrive together, prompts included."""
    least, tokens, rate = PROMISED.get(subject.name, PROMISED_ELSE)[2], subject.sizes.together, Series()
    # Each way takes minutes a round where the model is slow; then only what was promised is measured.
    others = () if subject.slow else subject.peers
    async with bench_for(subject, EngineLimits(batch_size=CALLS)) as bench, engine_for(subject) as four:
        with running(others, subject.info.path) as peers:
            for number in range(0 if subject.slow else -1, subject.sizes.rounds):
                questions = [words(subject.sizes.question, bench.bare, f"{number} {call}") for call in range(CALLS)]
                rate.add(
                    number,
                    bare=bench.bare.together([user(question) for question in questions], tokens),
                    eight=await _rate(bench.engine, questions, tokens),
                    **peers.measure(partial(PeerServer.together, questions=questions, tokens=tokens)),
                )
                if not subject.slow:
                    rate.add(number, four=await _rate(four, questions, tokens))
            titles = peers.titles()
    name, bare = subject.name, rate["bare"]
    rows = [compare("8 calls, batch_size 8 / bare `BatchGenerator`", name, rate["eight"], bare, "tok/s", least=least)]
    if not subject.slow:
        rows.append(compare("8 calls, batch_size 4 (default) / bare", name, rate["four"], bare, "tok/s"))
    return [*rows, *(compare(f"8 calls, {title} / bare", name, rate[peer], bare, "tok/s") for peer, title in titles)]


async def _rate(engine: MlxEngine, questions: list[str], tokens: int) -> float:
    started = time.perf_counter()
    results = await asyncio.gather(*(ask(engine, user(question), tokens) for question in questions))
    return sum(result.usage.completion_tokens for result, _ in results) / (time.perf_counter() - started)


async def beside_a_long_prompt(subject: Subject, scratch: Path) -> list[Row]:
    """Measure the worst gap between two tokens of an answer while a long prompt is read."""
    gap = Series()
    async with bench_for(subject) as bench:
        for number in range(subject.sizes.rounds):
            long = words(subject.sizes.long_prompt, bench.bare, f"gap {number}")
            bare = 1000 * bench.bare.worst_gap(user("Hello"), user(long), 48)
            gap.add(number, bare=bare, ours=1000 * await _worst_gap(bench, long))
    what = f"worst gap while {subject.sizes.long_prompt} tokens are read / fixed step of 2048"
    return [compare(what, subject.name, gap["ours"], gap["bare"], "ms", most=0.25)]


async def _worst_gap(bench: Bench, long: str) -> float:
    """Stream one answer; when it runs, send the long prompt; return the longest gap until both are done."""
    sampling = SamplingParams(max_tokens=48, temperature=0.0, repetition_limit=0)
    seen: list[float] = []
    arriving: asyncio.Task[object] | None = None
    request = ChatRequest(tuple(user("Hello")), sampling=sampling, stream=True)
    async with aclosing(bench.engine.stream(request)) as chunks:
        async for chunk in chunks:
            if chunk.progress is not None and chunk.progress.phase in ("reasoning", "answer"):
                seen.append(time.perf_counter())
                if len(seen) == 8:
                    arriving = asyncio.create_task(ask(bench.engine, user(long), 1))
    if arriving is not None:
        await arriving
    return max(after - before for before, after in pairwise(seen[8:]))
