"""One table of what an answer must look like, whoever computes it.

A row of `PLACES` is a way to get an engine that behaves as a case says; every case runs in every place. Engines in this
process and attached ones join by a row of their own.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from mcp_local_llm.chat import ChatRequest, ChatResult, FinishReason, Message, ToolCall, ToolSpec
from mcp_local_llm.engine import Engine
from mcp_local_llm.errors import ContextLengthError
from tests.http.asking import engine_for
from tests.http.fake_server import Exchange, call_piece, counts, delta

WEATHER = ToolSpec(name="get_weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}})
PARIS = ToolCall(name="get_weather", arguments={"city": "Paris"})
RAW_CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'


@dataclass(frozen=True)
class Model:
    """What the model does: its raw output, or what keeps it from one.

    Attributes:
        reasoning: what the server has separated from the content already.
        overflow: tokens of the prompt and of the window that does not hold it.
        waits: it is silent until the test lets it go on.
    """

    content: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason = "stop"
    overflow: tuple[int, int] | None = None
    waits: bool = False


@dataclass(frozen=True)
class Control:
    """How a test and a model that waits meet."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)


Place = Callable[[Model, Control], AbstractAsyncContextManager[Engine]]
"""Brings about an engine whose model does as it is told."""


@asynccontextmanager
async def over_http(model: Model, control: Control) -> AsyncGenerator[Engine]:
    """A server that sends the model's output piece by piece."""

    async def script(exchange: Exchange) -> None:
        if model.overflow is not None:
            prompt, window = model.overflow
            words = f"request ({prompt} tokens) exceeds the available context size ({window} tokens)"
            await exchange.json(400, {"error": {"message": words, "type": "exceed_context_size_error"}})
            return
        control.begun.set()
        if model.waits:
            gone, go_on = asyncio.create_task(exchange.gone()), asyncio.create_task(control.go_on.wait())
            await asyncio.wait([gone, go_on], return_when=asyncio.FIRST_COMPLETED)
            go_on.cancel()
            if gone.done():
                control.stopped.set()
                return
            gone.cancel()
        pieces = [delta(reasoning_content=piece) for piece in _cut(model.reasoning)]
        pieces += [delta(content=piece) for piece in _cut(model.content)]
        for number, call in enumerate(model.calls):
            pieces.append(delta(tool_calls=[call_piece(number, name=call.name, ident=f"c{number}")]))
            pieces += [delta(tool_calls=[call_piece(number, arguments=part)]) for part in _cut('{"city": "Paris"}')]
        await exchange.stream(*pieces, delta(finish=model.finish_reason), counts(prompt=20, completion=len(pieces)))

    async with engine_for(script) as (engine, _):
        yield engine


def _cut(text: str) -> list[str]:
    """Cut a text as tokens would: through the middle of tags and words."""
    return [text[start : start + 5] for start in range(0, len(text), 5)]


PLACES: dict[str, Place] = {"over HTTP": over_http}


@dataclass(frozen=True)
class Case:
    """What the model does, and what must come of it."""

    model: Model
    text: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason = "stop"
    closed: bool = True
    tools: tuple[ToolSpec, ...] = ()


CASES: dict[str, Case] = {
    "a plain answer": Case(Model("Four."), "Four."),
    "closed thinking": Case(Model("<think>\n2 and 2.\n</think>\n\nFour."), "Four.", "2 and 2."),
    "unclosed thinking": Case(
        Model("<think>\n2 and 2, so", finish_reason="length"), "", "2 and 2, so", finish_reason="length", closed=False
    ),
    "a closer without an opener": Case(Model("2 and 2.\n</think>\n\nFour."), "Four.", "2 and 2."),
    "quoted tags": Case(
        Model("Write `<think>` and `</think>` around it."), "Write `<think>` and `</think>` around it."
    ),
    "a reasoning field and no content": Case(
        Model(reasoning="2 and 2, so", finish_reason="length"), "", "2 and 2, so", finish_reason="length", closed=False
    ),
    "a reasoning field and content": Case(Model("Four.", "2 and 2."), "Four.", "2 and 2."),
    "a reasoning field and a block in the content": Case(
        Model("<think>Sure.</think>Four.", " 2 and 2. "), "Four.", "2 and 2.\nSure."
    ),
    "a raw tool call": Case(Model(RAW_CALL), calls=(PARIS,), finish_reason="tool_calls", tools=(WEATHER,)),
    "a structured tool call": Case(
        Model(calls=(PARIS,), finish_reason="tool_calls"), calls=(PARIS,), finish_reason="tool_calls", tools=(WEATHER,)
    ),
    "a raw call without tools": Case(Model(RAW_CALL), RAW_CALL),
    "an answer cut by its length": Case(Model("One, two", finish_reason="length"), "One, two", finish_reason="length"),
    "a long silence": Case(Model("Four.", waits=True), "Four."),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_an_answer_is_the_same_wherever_it_is_computed(case: Case, place: Place) -> None:
    control = Control()
    async with place(case.model, control) as engine, aclosing(engine.stream(_request(case))) as chunks:
        result: ChatResult | None = None
        async for chunk in chunks:
            # Progress comes before the answer does, so that nobody takes a silence for a hang.
            control.go_on.set()
            result = chunk.result
    assert result is not None
    calls = tuple(_without_id(call) for call in result.tool_calls)
    assert (result.text, result.reasoning, calls) == (case.text, case.reasoning, case.calls)
    assert (result.finish_reason, result.thinking_closed) == (case.finish_reason, case.closed)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_what_is_streamed_is_the_beginning_of_the_result(case: Case, place: Place) -> None:
    control = Control()
    control.go_on.set()
    request = replace(_request(case), stream=True)
    async with place(case.model, control) as engine, aclosing(engine.stream(request)) as chunks:
        seen = [chunk async for chunk in chunks]
    result = seen[-1].result
    assert result is not None
    assert result.text.startswith("".join(chunk.text for chunk in seen))
    assert result.reasoning.startswith("".join(chunk.reasoning for chunk in seen))


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
async def test_a_prompt_that_is_too_long_is_refused_with_the_numbers(place: Place) -> None:
    async with place(Model(overflow=(5000, 4096)), Control()) as engine:
        with pytest.raises(ContextLengthError, match=r"5000.*4096"):
            await _ask(engine)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
async def test_cancelling_stops_the_model(place: Place) -> None:
    control = Control()

    async with place(Model("Four.", waits=True), control) as engine:
        task = asyncio.create_task(_ask(engine))
        await control.begun.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await control.stopped.wait()


async def _ask(engine: Engine) -> None:
    async with aclosing(engine.stream(_request(Case(Model())))) as chunks:
        async for _ in chunks:
            pass


def _without_id(call: ToolCall) -> ToolCall:
    """The call without its id, which each server makes up."""
    return ToolCall(name=call.name, arguments=call.arguments)


def _request(case: Case) -> ChatRequest:
    return ChatRequest((Message(role="user", content="What is 2 and 2?"),), tools=case.tools)
