"""What constrained output costs: time per token with `response_schema` against free text, on a large vocabulary.

    python -m benchmarks.constrained [--realistic] [--rounds 7] [--tokens 80]

Both kinds of request run in one process on one loaded model, taking turns; the figures are medians of the rounds.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.discovered import model_in
from mcp_local_llm.engines.mlx import MlxLoader
from mcp_local_llm.values.chat import ChatRequest, ChatResult, Message, SamplingParams, ToolSpec
from mcp_local_llm.values.engine import Engine

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 40},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "role": {"enum": ["reader", "author", "editor"]},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 12}, "minItems": 1, "maxItems": 4},
    },
    "required": ["name", "age", "role", "tags"],
    "additionalProperties": False,
}
# Random weights end nothing by themselves; so many items outlast any run, and every kind of token is constrained.
SCHEMA: dict[str, Any] = {"type": "array", "items": PERSON, "minItems": 10_000}
TARGET = 1.10
"""Constrained time per token over free time per token, at most; what is promised."""


@dataclass(frozen=True)
class Variant:
    """A kind of request, and its seconds per token, one a round."""

    name: str
    request: ChatRequest
    seconds: list[float]


def variants(tokens: int) -> list[Variant]:
    """Return the requests that are compared; the first is what the others are measured against."""
    messages = (Message(role="user", content="Make a list of people."),)
    sampling = SamplingParams(max_tokens=tokens, repetition_limit=0)
    penalised = SamplingParams(max_tokens=tokens, repetition_limit=0, repetition_penalty=1.1, frequency_penalty=0.2)
    tool = ToolSpec(name="add_person", parameters=PERSON)
    return [
        Variant("free text", ChatRequest(messages, sampling=sampling), []),
        Variant("response_schema", ChatRequest(messages, sampling=sampling, response_schema=SCHEMA), []),
        Variant("tools, none called", ChatRequest(messages, sampling=sampling, tools=(tool,)), []),
        Variant("penalties", ChatRequest(messages, sampling=penalised), []),
    ]


async def answer(engine: Engine, request: ChatRequest) -> ChatResult:
    """Return the engine's answer."""
    async with aclosing(engine.stream(request)) as chunks:
        async for chunk in chunks:
            if chunk.result is not None:
                return chunk.result
    raise RuntimeError("the engine ended without an answer")


async def measure(folder: Path, rounds: int, tokens: int) -> tuple[list[Variant], float]:
    """Return the variants with their times, and the seconds that the first constrained answer took to start."""
    backend = MlxLoader()
    try:
        engine = await backend.load(model_in(folder), lambda progress: None)
        measured = variants(tokens)
        await answer(engine, measured[0].request)
        started = time.perf_counter()
        first = await answer(engine, measured[1].request)
        setup = time.perf_counter() - started - first.timings.decode_s
        for _ in range(rounds):
            for variant in measured:
                result = await answer(engine, variant.request)
                variant.seconds.append(result.timings.decode_s / (result.usage.completion_tokens - 1))
    finally:
        backend.close()
        backend.join(60)
    return measured, setup


def table(measured: Sequence[Variant], setup: float) -> str:
    """Write the medians and their ratios."""
    base = statistics.median(measured[0].seconds)
    lines = [f"{'request':<20} {'ms/token':>9} {'of free':>8} {'lowest':>8} {'highest':>8}"]
    for variant in measured:
        ratios = [mine / free for mine, free in zip(variant.seconds, measured[0].seconds, strict=True)]
        middle = statistics.median(variant.seconds)
        lines.append(
            f"{variant.name:<20} {1000 * middle:>9.3f} {middle / base:>8.3f} {min(ratios):>8.3f} {max(ratios):>8.3f}"
        )
    ratio = statistics.median(measured[1].seconds) / base
    verdict = "met" if ratio <= TARGET else "missed"
    lines.append(f"target: response_schema at most {TARGET:.2f} of free text: {verdict}")
    lines.append(f"once per model, before the first constrained token: {setup:.2f} s")
    return "\n".join(lines)


def main() -> None:
    """Make the model, measure, print the table."""
    # Imported here: it loads mlx, which the command's help does without.
    from benchmarks.random_model import QWEN_05B, SMALL, make_model

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--realistic", action="store_true", help="the shape of Qwen2.5-0.5B instead of a smaller one")
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each kind (default: 7)")
    parser.add_argument("--tokens", type=int, default=80, help="tokens of each answer (default: 80)")
    options = parser.parse_args()
    shape = QWEN_05B if options.realistic else SMALL
    with tempfile.TemporaryDirectory() as scratch:
        folder = make_model(Path(scratch).resolve() / shape.name, shape)
        measured, setup = asyncio.run(measure(folder, options.rounds, options.tokens))
    print(f"{shape.name}: {shape.layers} layers, hidden {shape.hidden}, vocabulary {shape.vocabulary}, 4 bits")
    print(table(measured, setup))


if __name__ == "__main__":
    main()
