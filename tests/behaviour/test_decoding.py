"""What an engine does to an answer while it decodes is the same in each place of this program.

The model is the built-in one, which chooses its words itself: a budget, a stop string or a schema changes them.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import pytest

from mcp_local_llm.values.chat import ChatRequest, Message, SamplingParams, ToolCall, ToolSpec
from tests.behaviour.places import OWN, World, answer, compared, open_world

TAGS = (
    "They write their thoughts between `<think>` and `</think>`, and the answer after them. "
    "A reader of the answer never sees the `<think>` block."
)
LEGS = "How many legs do two cats and a bird have?"
MARKS = "How do reasoning models mark their thoughts?"
WEATHER = ToolSpec(
    name="get_weather",
    description="Get the current weather for a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
SCHEMA: dict[str, object] = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


@dataclass(frozen=True)
class Case:
    """A question, and what is known of its answer; a text of None is only compared between the places."""

    message: str
    text: str | None = None
    reasons: bool = False
    closed: bool = True
    finish_reason: str = "stop"
    calls: tuple[ToolCall, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    thinking: bool | None = False
    max_tokens: int = 400
    schema: dict[str, object] | None = None
    budget: int | None = None
    stop: tuple[str, ...] = ()

    def request(self, *, stream: bool) -> ChatRequest:
        sampling = SamplingParams(max_tokens=self.max_tokens, temperature=0.0, stop=self.stop, repetition_limit=0)
        return ChatRequest(
            (Message(role="user", content=self.message),),
            tools=self.tools,
            sampling=sampling,
            thinking=self.thinking,
            stream=stream,
            response_schema=self.schema,
            max_thinking_tokens=self.budget,
        )


CASES: dict[str, Case] = {
    "thinking": Case(LEGS, "10", reasons=True, thinking=True),
    "no thinking": Case("Hello", "Hello! How can I help you today?"),
    "thinking cut by its length": Case(
        LEGS, "", reasons=True, closed=False, finish_reason="length", thinking=True, max_tokens=6
    ),
    "thinking within a budget": Case(LEGS, reasons=True, thinking=True, budget=8),
    "quoted tags": Case(MARKS, TAGS),
    "quoted tags after a thought": Case(MARKS, TAGS, reasons=True, thinking=True),
    "a tool call held to its schema": Case(
        "What is the weather in Paris?",
        "",
        finish_reason="tool_calls",
        calls=(ToolCall(name="get_weather", arguments={"city": "Paris"}),),
        tools=(WEATHER,),
    ),
    "an answer cut by its length": Case("Repeat the word la forever.", finish_reason="length", max_tokens=20),
    "an answer cut by a stop string": Case("Count from 1 to 20.", "1, 2, 3,", stop=("4",)),
    "an answer that is JSON": Case("Give me Bob, 7, as JSON.", schema=SCHEMA),
    "letters of several bytes": Case("Send me an emoji.", "🎉👍🏽"),
}


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[World]:
    """Every place where the built-in model can be asked."""
    async with open_world(tmp_path_factory.mktemp("h"), "tiny") as opened:
        yield opened


@pytest.mark.parametrize("place", OWN)
@pytest.mark.parametrize("name", CASES)
async def test_an_answer_is_the_same_wherever_it_is_computed(world: World, name: str, place: str) -> None:
    case = CASES[name]
    result = await answer(world.places[place], case.request(stream=False))
    if case.text is not None:
        assert result.text == case.text
    assert bool(result.reasoning) is case.reasons
    assert (result.thinking_closed, result.finish_reason) == (case.closed, case.finish_reason)
    assert tuple(call.model_copy(update={"id": None}) for call in result.tool_calls) == case.calls
    assert compared(result) == compared(await world.at_home(name, case.request(stream=False)))


@pytest.mark.parametrize("place", OWN)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_what_is_streamed_is_the_beginning_of_the_result(world: World, case: Case, place: str) -> None:
    async with aclosing(world.places[place].ask(case.request(stream=True), lambda _: None)) as chunks:
        seen = [chunk async for chunk in chunks]
    result = seen[-1].result
    assert result is not None
    assert result.text.startswith("".join(chunk.text for chunk in seen))
    assert result.reasoning.startswith("".join(chunk.reasoning for chunk in seen))
