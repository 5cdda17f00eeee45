"""One table of answers, the same wherever they are computed: in this process, attached to another, and over HTTP.

The model is the built-in one, so the table holds what it can show; what servers do only sometimes is in
`tests/http/test_behaviour.py`.
"""

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

import anyio
import pytest

from mcp_local_llm.app import App, compose
from mcp_local_llm.chat import ChatRequest, ChatResult, Message, SamplingParams, Timings, ToolCall, ToolSpec
from mcp_local_llm.endpoint import Endpoint
from mcp_local_llm.engine import ChatChunk, Progress
from mcp_local_llm.engines.http import HttpBackend
from mcp_local_llm.errors import ContextLengthError
from mcp_local_llm.model import endpoint_model
from mcp_local_llm.openai_api import Guard, Traffic, access_rules, bind_tcp, build_api, serving
from tests.clients import WAIT_S, private_environ

PLACES = ("in-process", "attached", "over HTTP")
Place = Callable[[ChatRequest], AsyncGenerator[ChatChunk]]
"""Answers a request."""
TAGS = (
    "They write their thoughts between `<think>` and `</think>`, and the answer after them. "
    "A reader of the answer never sees the `<think>` block."
)
WEATHER = ToolSpec(
    name="get_weather",
    description="Get the current weather for a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
SCHEMA: dict[str, object] = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


@dataclass(frozen=True)
class Case:
    """A question, and what is known of its answer; what is None is only compared between the places."""

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
    "a plain answer": Case("Hello", "Hello! How can I help you today?"),
    "closed thinking": Case("How many legs do two cats and a bird have?", "10", reasons=True, thinking=True),
    "unclosed thinking": Case(
        "How many legs do two cats and a bird have?",
        "",
        reasons=True,
        closed=False,
        finish_reason="length",
        thinking=True,
        max_tokens=6,
    ),
    "thinking within a budget": Case(
        "How many legs do two cats and a bird have?", reasons=True, thinking=True, budget=8
    ),
    "quoted tags": Case("How do reasoning models mark their thoughts?", TAGS),
    "quoted tags after a thought": Case(
        "How do reasoning models mark their thoughts?", TAGS, reasons=True, thinking=True
    ),
    "a tool call": Case(
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


def _asking(app: App) -> Place:
    return lambda request: app.llm.stream(request, _ignore)


def _ignore(progress: Progress) -> None:
    """Take progress that no test here looks at."""


async def _answer(place: Place, request: ChatRequest) -> ChatResult:
    async with aclosing(place(request)) as chunks:
        seen = [chunk.result async for chunk in chunks if chunk.result is not None]
    (result,) = seen
    return result


def _compared(result: ChatResult) -> ChatResult:
    """What must be equal: all but measurements, made-up ids, the endpoint in the name, and what a cache knew."""
    calls = tuple(call.model_copy(update={"id": None}) for call in result.tool_calls)
    usage = replace(result.usage, cached_tokens=0)
    return replace(result, tool_calls=calls, usage=usage, timings=Timings(), model="")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def places(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[dict[str, Place]]:
    """Each place by its name; all three reach one model."""
    home = tmp_path_factory.mktemp("h")
    environ = private_environ(home)
    holder, other = compose(environ, home), compose(environ, home)
    listener = bind_tcp("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    api = Guard(build_api(holder.llm, Traffic()), access_rules("127.0.0.1", None))
    try:
        async with serving(api, listener):
            # Whoever is asked first holds the model; and a model that was chosen answers without a note.
            await holder.llm.set_model("tiny", _ignore)
            served = endpoint_model(Endpoint(name="box", url=url, flavor="mcp-local-llm"), "tiny")
            far = await HttpBackend({}).load(served, _ignore)
            yield {"in-process": _asking(holder), "attached": _asking(other), "over HTTP": far.stream}
            assert (await other.llm.shared_status()).holder_pid == os.getpid()
            await holder.door.close()
    finally:
        holder.backend.close()
        assert holder.backend.join(WAIT_S), "the MLX thread did not end"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_an_answer_is_the_same_wherever_it_is_computed(places: dict[str, Place], case: Case, place: str) -> None:
    result = await _answer(places[place], case.request(stream=False))
    if case.text is not None:
        assert result.text == case.text
    assert bool(result.reasoning) is case.reasons
    assert (result.thinking_closed, result.finish_reason) == (case.closed, case.finish_reason)
    assert tuple(call.model_copy(update={"id": None}) for call in result.tool_calls) == case.calls
    assert _compared(result) == _compared(await _answer(places["in-process"], case.request(stream=False)))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_what_is_streamed_is_the_beginning_of_the_result(
    places: dict[str, Place], case: Case, place: str
) -> None:
    async with aclosing(places[place](case.request(stream=True))) as chunks:
        seen = [chunk async for chunk in chunks]
    result = seen[-1].result
    assert result is not None
    assert result.text.startswith("".join(chunk.text for chunk in seen))
    assert result.reasoning.startswith("".join(chunk.reasoning for chunk in seen))


@pytest.mark.parametrize("place", PLACES)
async def test_a_prompt_that_is_too_long_is_refused_with_the_same_words(places: dict[str, Place], place: str) -> None:
    long = Case("word " * 6000).request(stream=False)
    told: list[str] = []
    for place_asked in (places["in-process"], places[place]):
        with pytest.raises(ContextLengthError) as error:
            await _answer(place_asked, long)
        told.append(str(error.value))
    assert told[0] == told[1]


@pytest.mark.parametrize("place", PLACES)
async def test_giving_up_stops_the_generation(places: dict[str, Place], place: str) -> None:
    endless = Case("Repeat the word la forever.", max_tokens=3900)
    async with aclosing(places[place](endless.request(stream=True))) as chunks:
        async for chunk in chunks:
            if chunk.text:
                break
    with anyio.fail_after(WAIT_S):
        # An answer that went on would take its place in the batch, and a greeting would come beside it.
        assert (await _answer(places[place], CASES["a plain answer"].request(stream=False))).finish_reason == "stop"
