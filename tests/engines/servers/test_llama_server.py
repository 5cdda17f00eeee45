"""A real llama-server with the built-in model as a GGUF file, asked through the composed application.

It is the one that `make test-engines` has built, or the one on the PATH.
"""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread
import psutil
import pytest

from mcp_local_llm.app import App
from mcp_local_llm.llm.llm import collect_result
from mcp_local_llm.values.chat import ChatRequest, Message, SamplingParams, ToolSpec
from mcp_local_llm.values.errors import ContextLengthError, ModelLoadError
from mcp_local_llm.values.progress import Progress
from tests.clients import WAIT_S
from tests.engines.servers.asking import ask, question
from tests.engines.servers.conftest import Compose
from tests.engines.servers.test_servers import gone
from tests.model_cache import TINY
from training.to_gguf import write_gguf

pytestmark = pytest.mark.engines

WEATHER = ToolSpec(
    name="get_weather",
    description="Get the current weather for a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


@pytest.fixture
async def app(composed: Compose, models: Path, llama_server: str) -> App:
    """The application over a real server and `tiny-F32`, the built-in model as a GGUF file."""
    write_gguf(TINY, models / "tiny-F32.gguf")
    return await composed("reserve_context = 1024\nllama_slots = 2\n", llama_server=llama_server)


async def test_it_answers_what_the_engine_in_this_process_answers(app: App) -> None:
    asked = [
        ChatRequest((Message(role="user", content=text),), thinking=thinking)
        for text in ("Hello", "What is 3 + 4?", "Say exactly: blue")
        for thinking in (True, False)
    ]
    there = [await collect_result(app.llm.chat(one, lambda _: None, model="tiny-F32")) for one in asked]
    here = [await collect_result(app.llm.chat(one, lambda _: None, model="tiny")) for one in asked]
    assert [(one.text, one.reasoning) for one in there] == [(one.text, one.reasoning) for one in here]
    assert [one.usage.prompt_tokens for one in there] == [one.usage.prompt_tokens for one in here]
    assert {(one.model, one.finish_reason, one.warnings) for one in there} == {("tiny-F32", "stop", ())}


async def test_every_scripted_question_passes(app: App) -> None:
    await app.llm.set_model("tiny-F32", lambda _: None)
    for name in ("hello", "math", "tools", "thinking", "json"):
        outcome = await app.llm.quick_test(name, lambda _: None)
        assert outcome.passed, outcome


async def test_a_tool_call_comes_back_parsed(app: App) -> None:
    asked = ChatRequest((Message(role="user", content="What is the weather in Paris?"),), tools=(WEATHER,))
    result = await collect_result(app.llm.chat(asked, lambda _: None, model="tiny-F32"))
    assert [(call.name, call.arguments) for call in result.tool_calls] == [("get_weather", {"city": "Paris"})]
    assert result.finish_reason == "tool_calls"


async def test_an_answer_that_is_cut_off_says_so(app: App) -> None:
    result = await collect_result(
        app.llm.chat(question("Count from 1 to 150.", max_tokens=20), lambda _: None, model="tiny-F32")
    )
    assert (result.finish_reason, result.usage.completion_tokens) == ("length", 20)


async def test_a_prompt_beyond_its_context_is_refused_with_the_numbers(app: App) -> None:
    with pytest.raises(ContextLengthError, match="1024 tokens"):
        await ask(app, "tiny-F32", "Hello " * 2000)


async def test_its_slots_answer_side_by_side_and_a_cancelled_call_frees_its_own(app: App) -> None:
    endless = ChatRequest(question("Count from 1 to 150.", max_tokens=900).messages, stream=True)
    await ask(app, "tiny-F32")
    with anyio.fail_after(WAIT_S):
        async with aclosing(app.llm.chat(endless, lambda _: None, model="tiny-F32")) as chunks:
            async for chunk in chunks:
                if chunk.text or chunk.reasoning:
                    break
            assert (await ask(app, "tiny-F32")).text == "Hello! How can I help you today?"
        for _ in range(3):
            assert (await ask(app, "tiny-F32")).text == "Hello! How can I help you today?"


async def test_the_load_is_reported_and_a_switch_ends_the_server(
    app: App, children: Callable[[], list[psutil.Process]]
) -> None:
    seen: list[Progress] = []
    await ask(app, "tiny-F32", seen=seen)
    started = children()
    assert started
    assert seen[0].phase == "loading"
    await ask(app, "tiny")
    assert await gone(started)


async def test_a_file_that_it_cannot_load_is_told_with_its_own_words(app: App) -> None:
    with pytest.raises(ModelLoadError, match=r"toy could not be loaded. llama-server (.|\n)*load"):
        await ask(app, "toy")


async def test_a_killed_server_is_told_of_and_the_next_call_starts_it_again(
    app: App, children: Callable[[], list[psutil.Process]]
) -> None:
    await ask(app, "tiny-F32")
    (server,) = [process for process in children() if "--alias" in process.cmdline() and "-I" not in process.cmdline()]
    server.kill()
    assert app.engines.servers is not None
    assert await anyio.to_thread.run_sync(app.engines.servers.join, WAIT_S)
    assert (await app.llm.status()).state == "unloaded"
    sampling = SamplingParams(max_tokens=30)
    again = await collect_result(
        app.llm.chat(ChatRequest(question().messages, sampling=sampling), lambda _: None, model="tiny-F32")
    )
    assert again.text == "Hello! How can I help you today?"


async def test_reasoning_beyond_its_budget_is_closed(app: App) -> None:
    asked = ChatRequest((Message(role="user", content="How many legs do two cats and a bird have?"),), thinking=True)
    free = await collect_result(app.llm.chat(asked, lambda _: None, model="tiny-F32"))
    short = await collect_result(app.llm.chat(replace(asked, max_thinking_tokens=8), lambda _: None, model="tiny-F32"))
    assert free.usage.reasoning_tokens > 20
    assert 0 < len(short.reasoning) < len(free.reasoning)
    assert short.thinking_closed
