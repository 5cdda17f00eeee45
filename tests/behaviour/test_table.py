"""One behaviour table in every place: in this process, attached to another, over our HTTP door, at another's server.

What has no meaning somewhere: a block that the template opened is known to whoever rendered the template, so a server
of somebody else must say by its fields that it is reasoning; the case's `parts` are what it sends. What an engine does
while it decodes (budgets, stop strings, schemas) is `test_decoding.py`'s, for a scripted server decodes nothing.
"""

import re
from contextlib import aclosing
from dataclasses import replace

import pytest

from mcp_local_llm.values.chat import ChatRequest, Message, SamplingParams
from mcp_local_llm.values.errors import ContextLengthError
from tests.behaviour.cases import CASES, NUMBERS, THOUGHT, outcome, question
from tests.behaviour.places import ALL, OVER_HTTP, OWN, World, answer, compared
from tests.behaviour.reciting_model import WINDOW, cut, prompt_tokens


@pytest.mark.parametrize("place", ALL)
@pytest.mark.parametrize("name", CASES)
async def test_an_answer_is_the_same_wherever_it_is_asked_for(world: World, name: str, place: str) -> None:
    result = await answer(world.places[place], question(name))
    assert outcome(result) == CASES[name].outcome()
    if place in OWN:
        # Token counts and warnings, too.
        assert compared(result) == compared(await world.at_home(name, question(name)))


@pytest.mark.parametrize("place", ALL)
@pytest.mark.parametrize("name", CASES)
async def test_what_is_streamed_is_the_beginning_of_the_same_answer(world: World, name: str, place: str) -> None:
    async with aclosing(world.places[place].ask(question(name, stream=True), lambda _: None)) as chunks:
        seen = [chunk async for chunk in chunks]
    result = seen[-1].result
    assert result is not None
    assert outcome(result) == CASES[name].outcome()
    assert result.text.startswith("".join(chunk.text for chunk in seen))
    assert result.reasoning.startswith("".join(chunk.reasoning for chunk in seen))


@pytest.mark.parametrize("place", ALL)
async def test_a_long_answer_is_shown_while_it_comes(world: World, place: str) -> None:
    request = question("a long answer after a thought", stream=True)
    async with aclosing(world.places[place].ask(request, lambda _: None)) as chunks:
        shown = [chunk async for chunk in chunks if chunk.result is None]
    assert "".join(chunk.reasoning for chunk in shown) == "2 and 2."
    assert NUMBERS.startswith("".join(chunk.text for chunk in shown))
    assert sum(bool(chunk.text) for chunk in shown) > 1


@pytest.mark.parametrize("place", OWN)
async def test_the_tokens_of_a_thought_are_counted_where_its_tags_are_tokens(world: World, place: str) -> None:
    usage = (await answer(world.places[place], question("closed thinking"))).usage
    whole, thought = cut(THOUGHT + "Four.", whole_tags=True), cut("\n2 and 2.\n")
    # The end of the turn is a token, too.
    assert (usage.completion_tokens, usage.reasoning_tokens) == (len(whole) + 1, len(thought))


@pytest.mark.parametrize("place", ALL)
async def test_a_prompt_that_is_too_long_is_refused_with_the_numbers(world: World, place: str) -> None:
    words = "word " * (WINDOW // 5)
    request = replace(question("a plain answer"), messages=(Message(role="user", content=words),))
    with pytest.raises(ContextLengthError) as error:
        await answer(world.places[place], request)
    assert re.findall(r"\d+", str(error.value))[:2] == [str(prompt_tokens(words)), str(WINDOW)]


@pytest.mark.parametrize("place", [place for place in OWN if place not in OVER_HTTP])
async def test_a_prompt_and_an_answer_that_do_not_fit_together_are_refused_with_the_numbers(
    world: World, place: str
) -> None:
    # The words name no case, so the model would end its turn at once.
    hello = (Message(role="user", content="Hello"),)
    counted = prompt_tokens("Hello")

    def request(max_tokens: int) -> ChatRequest:
        return ChatRequest(hello, sampling=SamplingParams(max_tokens=max_tokens))

    told: list[str] = []
    for asked in (OWN[0], place):
        with pytest.raises(ContextLengthError) as error:
            await answer(world.places[asked], request(WINDOW - counted + 1))
        told.append(str(error.value))
    assert told[0] == told[1]
    assert re.findall(r"\d+", told[0]) == [
        str(number) for number in (counted, WINDOW - counted + 1, WINDOW, WINDOW - counted)
    ]
    usage = (await answer(world.places[place], request(WINDOW - counted))).usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (counted, 1)


@pytest.mark.parametrize("place", OVER_HTTP)
async def test_over_http_an_answer_that_does_not_fit_is_made_shorter_and_that_is_told(world: World, place: str) -> None:
    room = WINDOW - prompt_tokens("Hello")
    request = ChatRequest((Message(role="user", content="Hello"),), sampling=SamplingParams(max_tokens=room + 1))
    result = await answer(world.places[place], request)
    assert any(f"lowered from {room + 1:,} to {room:,}" in warning for warning in result.warnings)
