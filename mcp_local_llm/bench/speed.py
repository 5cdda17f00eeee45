"""Measures speed, time to the first token, calls side by side and memory of one model."""

import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TypeVar

import anyio

from mcp_local_llm.bench.options import BenchOptions
from mcp_local_llm.llm.llm import LLM, collect_result
from mcp_local_llm.values.bench import Figure
from mcp_local_llm.values.chat import ChatRequest, ChatResult, Message, SamplingParams
from mcp_local_llm.values.progress import ReportProgress
from mcp_local_llm.values.results import rate_of

SHORT, LONG, BESIDE = 200, 500, 64
"""Tokens of a short and a long answer, and of each answer side by side."""

SIZES = (512, 2048)
LARGEST = 8192
"""Tokens of the prompts that are read; the last one is the largest that fits, up to `LARGEST`."""

SIDE_BY_SIDE = (1, 2, 4, 8)

TOO_LONG_S = 180.0
"""A prompt that is estimated to take longer is left out, unless all are asked for."""

ENOUGH_S = 60.0
"""Once the rounds of one figure have taken this long, no other begins."""

COUNT = "Count from 1 to 150."
SENTENCE = "Item {number}: the warehouse in row {row} holds {amount} boxes, and the door is closed at night. "

Note = Callable[[str], None]

Measured = TypeVar("Measured")


@dataclass
class SpeedBench:
    """Measures one model.

    Args:
        llm: executes the verbs.
        model: the text that names the model.
        options: what to measure.
        report: receives progress.
        note: takes sentences for the report.
    """

    llm: LLM
    model: str
    options: BenchOptions
    report: ReportProgress
    note: Note
    clock: Callable[[], float] = time.monotonic
    figures: list[Figure] = field(default_factory=list[Figure])

    async def run(self) -> tuple[Figure, ...]:
        """Measure everything, the load and the first answer not counted. Raises as `LLM.chat`."""
        await self._answer(request("Hello", 8))
        await self._decode("short answer", SHORT)
        await self._decode("long answer", LONG)
        await self._prompts()
        await self._first_token()
        await self._side_by_side()
        status = await self.llm.status()
        if status.engine_bytes:
            gigabytes = round(status.engine_bytes / 1e9, 3)
            self.figures.append(Figure(name="memory", unit="GB", values=(gigabytes,), more_is_better=False))
        return tuple(self.figures)

    async def _decode(self, name: str, tokens: int) -> None:
        results = await self._rounds(lambda: self._answer(request(COUNT, tokens)))
        rates = tuple(rate for result in results if (rate := rate_of(result)))
        if not rates:
            self.note(f"{name}: left out, because the model ended its answer at once.")
            return
        least = min(result.usage.completion_tokens for result in results)
        note = f"the model ended its answer after {least} tokens" if least < tokens else ""
        self.figures.append(Figure(name=name, unit="tok/s", values=rates, note=note))

    async def _prompts(self) -> None:
        counts = await self.llm.count((text_of(100),), self.report, model=self.model)
        per_sentence = counts.tokens[0] / 100
        largest = min(LARGEST, (counts.window or LARGEST) - 64)
        rate: float | None = None
        usual = {*(size for size in SIZES if size <= largest), largest}
        for size in self.options.prompts or sorted(usual):
            if rate and size / rate > TOO_LONG_S and not self.options.full:
                self.note(
                    f"prompt of {size:,} tokens: left out, about {size / rate / 60:.0f} minutes; --full reads it."
                )
                continue
            sentences = max(int(size / per_sentence) - 4, 1)
            results = await self._rounds(lambda sentences=sentences: self._answer(request(text_of(sentences), 1)))
            rates = tuple(_read_rate(result) for result in results if result.timings.prefill_s > 0)
            if not rates:
                self.note(f"prompt of {size:,} tokens: left out, because the server tells no time for it.")
                continue
            rate = max(rates)
            self.figures.append(Figure(name=f"prompt of {size:,} tokens", unit="tok/s", values=rates))

    async def _first_token(self) -> None:
        cold: list[float] = []
        cached: list[float] = []
        began = self.clock()
        for _ in range(self.options.rounds):
            question = request(text_of(20), 4)
            cold.append(await self._wait(question))
            cached.append(await self._wait(question))
            if self.clock() - began > ENOUGH_S:
                break
        for name, values in (("first token, new prompt", cold), ("first token, same prompt again", cached)):
            self.figures.append(Figure(name=name, unit="s", values=tuple(values), more_is_better=False))

    async def _side_by_side(self) -> None:
        for number in SIDE_BY_SIDE:

            async def together(number: int = number) -> float:
                tokens: list[int] = []

                async def one() -> None:
                    result = await self._answer(request(COUNT, BESIDE))
                    tokens.append(result.usage.completion_tokens)

                began = self.clock()
                async with anyio.create_task_group() as group:
                    for _ in range(number):
                        group.start_soon(one)
                return sum(tokens) / max(self.clock() - began, 1e-9)

            values = await self._rounds(together)
            self.figures.append(Figure(name=f"{number} at once", unit="tok/s", values=tuple(values)))

    async def _rounds(self, measure: Callable[[], Awaitable[Measured]]) -> list[Measured]:
        began, values = self.clock(), list[Measured]()
        for _ in range(self.options.rounds):
            values.append(await measure())
            if self.clock() - began > ENOUGH_S:
                break
        return values

    async def _answer(self, question: ChatRequest) -> ChatResult:
        return await collect_result(self.llm.chat(question, self.report, model=self.model))

    async def _wait(self, question: ChatRequest) -> float:
        """Return the seconds until the first text."""
        began = self.clock()
        async with aclosing(self.llm.chat(replace(question, stream=True), self.report, model=self.model)) as chunks:
            async for chunk in chunks:
                if chunk.text or chunk.reasoning or chunk.result:
                    return self.clock() - began
        return self.clock() - began


def request(text: str, tokens: int) -> ChatRequest:
    """Make a request that is answered with `tokens` tokens at most."""
    sampling = SamplingParams(max_tokens=tokens, temperature=0.0)
    return ChatRequest((Message(role="user", content=text),), sampling=sampling, thinking=False)


def text_of(sentences: int) -> str:
    """Return a text of so many sentences, each of which differs from the others; no cache holds its first words."""
    lines = (SENTENCE.format(number=number, row=number % 17, amount=number * 7) for number in range(sentences))
    return f"[{uuid.uuid4().hex[:8]}] {''.join(lines)}Answer with one word: is the door open?"


def _read_rate(result: ChatResult) -> float:
    return (result.usage.prompt_tokens - result.usage.cached_tokens) / result.timings.prefill_s
