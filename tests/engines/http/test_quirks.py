"""What servers do only sometimes: each quirk once, through a real connection."""

import asyncio
from contextlib import aclosing

import anyio
import pytest

from mcp_local_llm.engines.http import EndpointLoader
from mcp_local_llm.engines.http.connection import Connection
from mcp_local_llm.engines.http.engine import HttpEngine
from mcp_local_llm.values.chat import ChatRequest, Message, SamplingParams, ToolCall, ToolSpec
from mcp_local_llm.values.errors import BackendUnavailableError, InvalidRequestError
from mcp_local_llm.values.model import endpoint_model
from mcp_local_llm.values.progress import Progress
from tests.clients import WAIT_S
from tests.engines.http.asking import HELLO, answer_of, asked, chunks_of, endpoint, engine_for
from tests.engines.http.fake_server import Exchange, call_piece, counts, delta, fake_server, refuses, says

WEATHER = ToolSpec(name="get_weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}})
WITH_TOOLS = ChatRequest((Message(role="user", content="Weather?"),), tools=(WEATHER,))
END = (delta(finish="stop"), counts())


async def test_the_answer_carries_the_name_that_was_asked_for_and_a_warning_names_the_other() -> None:
    result = await asked(says(delta(content="Hi", model="other"), delta(finish="stop", model="other"), counts()))
    assert result.model == "box/m"
    assert result.warnings == ("box says that other answered, but m was asked.",)


@pytest.mark.parametrize("name", ["M", "m:latest", "/models/m", "m.gguf", "m-2026-01-01"])
async def test_another_spelling_of_the_name_is_no_reason_to_warn(name: str) -> None:
    assert not (await asked(says(delta(content="Hi", finish="stop", model=name), {**counts(), "model": name}))).warnings


async def test_a_stream_that_breaks_off_is_an_error_with_the_tokens_so_far() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.event(delta(content="Once"))
        await exchange.event(delta(content=" upon"))

    with pytest.raises(BackendUnavailableError, match="after 2 tokens"):
        await asked(script)


async def test_a_stream_that_ends_without_done_after_its_finish_reason_is_whole() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.event(delta(content="Hi", finish="stop"))

    result = await asked(script)
    assert result.text == "Hi"
    assert "told no token counts" in result.warnings[0]


async def test_a_stream_that_stays_open_after_its_end_does_not_hold_the_answer_up() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.event(delta(content="Hi", finish="stop"))
        await exchange.event(counts())
        await exchange.gone()

    assert (await asked(script)).text == "Hi"


async def test_token_counts_that_never_come_are_not_waited_for_long() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.event(delta(content="Hi", finish="stop"))
        await exchange.gone()

    with anyio.fail_after(WAIT_S):
        async with fake_server(script) as server:
            model = endpoint_model(endpoint(server.url), "m")
            engine = HttpEngine(model, Connection(endpoint(server.url), {}), usage_wait_s=0.01)
            assert (await answer_of(engine)).text == "Hi"


async def test_a_server_that_does_not_stream_is_read_all_the_same() -> None:
    message = {"role": "assistant", "content": "Hi", "reasoning_content": "Say hi."}
    body = {"model": "m", "choices": [{"message": message, "finish_reason": "stop"}], "usage": {"completion_tokens": 4}}
    result = await asked(refuses(200, body))
    assert (result.text, result.reasoning, result.usage.completion_tokens) == ("Hi", "Say hi.", 4)


async def test_comments_and_odd_framing_are_read_over() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.raw(b": keepalive\r\n\r\nid: 1\r\nretry: 5\r\ngarbage\r\n")
        await exchange.raw(b'data: {"choices": [{"delta":\r\ndata: {"content": "H\xc3')
        await exchange.raw(b'\xa4"}}]}\r\n\r\n')
        for event in (*END, "[DONE]"):
            await exchange.event(event)

    assert (await asked(script)).text == "Hä"


async def test_the_progress_of_a_prefill_is_passed_on() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.raw(b": keepalive 512/3100\n\n")
        await exchange.event({"choices": [], "prompt_progress": {"total": 3100, "processed": 2048, "cache": 0}})
        for event in (delta(content="Hi"), *END, "[DONE]"):
            await exchange.event(event)

    async with engine_for(script) as (engine, _):
        seen = [chunk.progress for chunk in await chunks_of(engine)]
    assert seen[:3] == [Progress("prefill"), Progress("prefill", 512, 3100), Progress("prefill", 2048, 3100)]


async def test_a_server_that_says_nothing_for_long_is_waited_for() -> None:
    answer = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await answer.wait()
        await exchange.stream(delta(content="Finally"), *END)

    async with engine_for(script) as (engine, server), aclosing(engine.stream(HELLO)) as chunks:
        assert (await anext(chunks)).progress == Progress("prefill")
        rest = asyncio.create_task(anext(chunks))
        while not server.received[-1].body:
            await anyio.lowlevel.checkpoint()
        assert not rest.done()
        answer.set()
        result = (await rest).result
    assert result is not None
    assert result.text == "Finally"


async def test_a_silence_that_the_settings_limit_is_an_error() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.gone()

    with anyio.fail_after(WAIT_S):
        async with fake_server(script) as server:
            limited = endpoint(server.url).model_copy(update={"read_timeout_s": 0.05})
            engine = await EndpointLoader({}).load(endpoint_model(limited, "m"), lambda _: None)
            with pytest.raises(BackendUnavailableError, match=r"said nothing for 0\.05 s"):
                await answer_of(engine)


async def test_a_server_that_is_loading_is_asked_again_with_progress() -> None:
    tries: list[str] = []

    async def script(exchange: Exchange) -> None:
        tries.append(exchange.received.path)
        if len(tries) < 3:
            error = {"message": "Loading model", "type": "unavailable_error", "code": 503}
            await exchange.json(503, {"error": error})
        else:
            await exchange.stream(delta(content="Hi"), *END)

    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    with anyio.fail_after(WAIT_S):
        async with fake_server(script) as server:
            backend = EndpointLoader({}, sleep=sleep)
            chunks = await chunks_of(await backend.load(endpoint_model(endpoint(server.url), "m"), lambda _: None))
    assert waits == [1.0, 1.0]
    assert [chunk.progress for chunk in chunks][:3] == [Progress("prefill"), Progress("loading"), Progress("loading")]
    assert chunks[-1].result is not None


@pytest.mark.parametrize("before_headers", [True, False], ids=["during the prefill", "during the answer"])
async def test_closing_the_answer_closes_the_connection(*, before_headers: bool) -> None:
    asked_for, closed = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if not before_headers:
            await exchange.head()
            await exchange.event(delta(content="One"))
        asked_for.set()
        await exchange.gone()
        closed.set()

    async with engine_for(script) as (engine, _):
        task = asyncio.create_task(answer_of(engine))
        await asked_for.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await closed.wait()


async def test_structured_calls_are_joined_from_their_fragments() -> None:
    result = await asked(
        says(
            delta(tool_calls=[call_piece(0, name="get_weather", ident="a")]),
            delta(tool_calls=[call_piece(0, arguments='{"city": ')]),
            delta(tool_calls=[call_piece(0, arguments='"Paris"}'), call_piece(1, name="get_weather", ident="b")]),
            delta(tool_calls=[call_piece(1, arguments='{"city": "Rome"}')]),
            delta(finish="tool_calls"),
            counts(),
        ),
        WITH_TOOLS,
    )
    assert result.tool_calls == (
        ToolCall(name="get_weather", arguments={"city": "Paris"}, id="a"),
        ToolCall(name="get_weather", arguments={"city": "Rome"}, id="b"),
    )
    assert result.finish_reason == "tool_calls"


async def test_what_a_flavor_does_not_understand_is_refused_by_name_before_anything_is_sent() -> None:
    request = ChatRequest(HELLO.messages, sampling=SamplingParams(top_k=5))
    async with engine_for(says(), "ollama") as (engine, server):
        with pytest.raises(InvalidRequestError, match="top_k is not supported by Ollama"):
            await answer_of(engine, request)
        assert [received.method for received in server.received] == ["GET"]


async def test_a_server_that_reasons_though_it_was_asked_not_to_is_reported() -> None:
    request = ChatRequest(HELLO.messages, thinking=False)
    script = says(delta(reasoning="Hm."), delta(content="Hi"), *END)
    result = await asked(script, request, "vllm")
    assert result.warnings == ("box was asked not to reason, and did; check the endpoint's flavor.",)


async def test_our_own_server_s_answer_is_not_taken_apart_a_second_time() -> None:
    extension = {
        "timings": {"queued_s": 1.0, "load_s": 0.0, "prefill_s": 0.5, "decode_s": 0.25},
        "thinking_closed": True,
        "looped": True,
        "schema_met": None,
        "warnings": ["It repeated itself."],
    }
    script = says(
        delta(reasoning="Thought."),
        delta(content="<think>is a tag</think> of some models"),
        delta(tool_calls=[call_piece(0, name="get_weather", arguments='{"city": "Paris"}', ident="a")]),
        {**delta(finish="length"), "local_llm": extension},
        counts(),
    )
    result = await asked(script, WITH_TOOLS, "mcp-local-llm")
    assert (result.text, result.reasoning) == ("<think>is a tag</think> of some models", "Thought.")
    assert result.tool_calls == (ToolCall(name="get_weather", arguments={"city": "Paris"}, id="a"),)
    assert (result.looped, result.finish_reason, result.warnings) == (True, "length", ("It repeated itself.",))
    assert (result.timings.queued_s, result.timings.decode_s) == (1.0, 0.25)


async def test_a_schema_that_the_server_does_not_keep_is_reported() -> None:
    request = ChatRequest(HELLO.messages, response_schema={"type": "object"})
    broken = await asked(says(delta(content="Sure! {"), *END), request)
    assert broken.schema_met is False
    assert "it is no JSON" in broken.warnings[0]
    assert (await asked(says(delta(content="{}"), *END), request)).schema_met is True
