"""The Responses API as OpenAI's own client and as Codex see it."""

import json
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from openai import APIStatusError, AsyncOpenAI, BadRequestError, NotFoundError
from openai.types.responses import ParsedResponse, Response
from pydantic import BaseModel

from tests.apps import opened
from tests.clients import WAIT_S, private_environ
from tests.doors.http.conftest import open_door
from tests.doors.http.door import ENDLESS, LEGS, Door, Json
from tests.doors.http.responses.streams import events

WEATHER: Json = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the current weather for a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
NAMESPACE: Json = {"type": "namespace", "name": "sky", "description": "", "tools": [WEATHER]}
PARIS = "What is the weather in Paris?"
NO_THINKING: Json = {"reasoning": {"effort": "none"}}


class Legs(BaseModel):
    """What a structured answer holds."""

    legs: int


async def ask(client: AsyncOpenAI, input: Any, **fields: Any) -> Response:
    return await client.responses.create(model="tiny", input=input, stream=False, **fields)


def reasoning_of(response: Response) -> str:
    parts = [part.text for item in response.output if item.type == "reasoning" for part in item.content or []]
    return "".join(parts)


def endless(**fields: Any) -> Json:
    body = {"model": "", "input": ENDLESS, "repetition_limit": 0, "max_output_tokens": 3000, **NO_THINKING}
    return {**body, **fields}


async def test_the_answer_and_its_reasoning_are_items_of_their_own(client: AsyncOpenAI) -> None:
    answer = await ask(client, LEGS)
    assert answer.output_text == "10"
    assert [item.type for item in answer.output] == ["reasoning", "message"]
    assert "bird" in reasoning_of(answer)
    assert (answer.status, answer.model, answer.error, answer.incomplete_details) == ("completed", "tiny", None, None)
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert 0 < answer.usage.output_tokens_details.reasoning_tokens < answer.usage.output_tokens


async def test_usage_counts_cached_tokens(client: AsyncOpenAI) -> None:
    await ask(client, LEGS)
    usage = (await ask(client, LEGS)).usage
    assert usage is not None
    assert 0 < usage.input_tokens_details.cached_tokens < usage.input_tokens


async def streamed(client: AsyncOpenAI, **fields: Any) -> tuple[list[Any], ParsedResponse[Any]]:
    async with client.responses.stream(model="tiny", **fields) as stream:
        seen = [event async for event in stream]
        return seen, await stream.get_final_response()


async def test_a_stream_adds_up_to_the_answer_in_one_piece(client: AsyncOpenAI) -> None:
    whole = await ask(client, LEGS)
    seen, final = await streamed(client, input=LEGS)
    assert final.output_text == whole.output_text
    assert reasoning_of(final) == reasoning_of(whole)
    assert "".join(event.delta for event in seen if event.type == "response.output_text.delta") == "10"
    thought = [event.delta for event in seen if event.type == "response.reasoning_text.delta"]
    assert "".join(thought) == reasoning_of(whole)
    assert [event.sequence_number for event in seen] == list(range(len(seen)))


async def test_what_is_certain_is_streamed_as_it_is_made(client: AsyncOpenAI) -> None:
    seen, _ = await streamed(client, input="Think long about seven.", max_output_tokens=80)
    assert len([event for event in seen if event.type == "response.reasoning_text.delta"]) > 5


async def test_a_tool_call_comes_back_and_its_result_is_answered(client: AsyncOpenAI) -> None:
    asked: list[Any] = [{"role": "user", "content": PARIS}]
    seen, first = await streamed(client, input=asked, tools=[WEATHER])
    (call,) = [item for item in first.output if item.type == "function_call"]
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Paris"})
    assert "response.function_call_arguments.done" in [event.type for event in seen]
    output = {"type": "function_call_output", "call_id": call.call_id, "output": '{"temp": 18, "sky": "sunny"}'}
    replayed = [item.model_dump(exclude={"parsed_arguments"}) for item in first.output]
    second = await ask(client, [*asked, *replayed, output], tools=[WEATHER])
    assert "18" in second.output_text


async def test_a_call_of_a_namespace_names_it(door: Door) -> None:
    reply = await door.http.post("/v1/responses", json={"input": PARIS, "tools": [NAMESPACE]})
    (call,) = [item for item in reply.json()["output"] if item["type"] == "function_call"]
    assert (call["name"], call["namespace"]) == ("get_weather", "sky")


async def test_a_custom_tool_gets_text(client: AsyncOpenAI) -> None:
    tool: Any = {"type": "custom", "name": "note", "description": "Writes a note."}
    fields: Any = {"tools": [tool], "tool_choice": {"type": "custom", "name": "note"}, **NO_THINKING}
    answer = await ask(client, "Hello", max_output_tokens=300, **fields)
    (call,) = answer.output
    assert call.type == "custom_tool_call"
    assert (call.name, isinstance(call.input, str)) == ("note", True)


NAMED: Json = {"type": "function", "name": "get_weather"}
CHOICES: list[Any] = ["required", NAMED, {"type": "allowed_tools", "mode": "required", "tools": [NAMED]}]


@pytest.mark.parametrize("choice", CHOICES)
async def test_a_required_call_is_made(client: AsyncOpenAI, choice: Any) -> None:
    answer = await ask(
        client,
        "Hello",
        tools=[WEATHER],
        max_output_tokens=300,
        parallel_tool_calls=False,
        tool_choice=choice,
        **NO_THINKING,
    )
    (call,) = answer.output
    assert call.type == "function_call"


async def test_tool_choice_none_hides_the_tools(client: AsyncOpenAI) -> None:
    answer = await ask(client, PARIS, tools=[WEATHER], tool_choice="none")
    assert "function_call" not in [item.type for item in answer.output]


async def test_openais_helper_parses_a_structured_answer(client: AsyncOpenAI) -> None:
    answer = await client.responses.parse(
        model="tiny", input=LEGS, text_format=Legs, max_output_tokens=200, reasoning={"effort": "none"}
    )
    assert isinstance(answer.output_parsed, Legs)
    _, final = await streamed(client, input=LEGS, text_format=Legs, max_output_tokens=200, **NO_THINKING)
    assert final.output_parsed == answer.output_parsed


async def test_instructions_and_a_text_as_input_are_enough(client: AsyncOpenAI) -> None:
    answer = await ask(client, LEGS, instructions="Be brief.", store=True, **NO_THINKING)
    assert answer.output_text
    assert reasoning_of(answer) == ""
    assert (answer.instructions, getattr(answer, "store", None)) == ("Be brief.", False)


async def test_the_tokens_of_a_request_are_counted_as_its_usage_tells_them(client: AsyncOpenAI) -> None:
    asked: Any = {"input": [{"role": "user", "content": PARIS}], "tools": [WEATHER], "instructions": "Be brief."}
    counted = await client.responses.input_tokens.count(model="tiny", **asked)
    usage = (await ask(client, **asked)).usage
    assert usage is not None
    assert counted.input_tokens == usage.input_tokens


async def test_a_cut_answer_is_complete_and_says_beside_it_that_it_was_cut(client: AsyncOpenAI) -> None:
    answer = await ask(client, ENDLESS, max_output_tokens=5, **NO_THINKING)
    assert (answer.status, answer.incomplete_details) == ("completed", None)
    assert answer.usage is not None
    assert answer.usage.output_tokens == 5
    assert (answer.model_extra or {})["local_llm"]["finish_reason"] == "length"


async def test_a_limit_that_does_not_fit_is_lowered_and_that_is_told(door: Door) -> None:
    reply = await door.http.post("/v1/responses", json={"input": LEGS, "max_output_tokens": 131_072})
    assert reply.status_code == 200, reply.text
    warnings = reply.json()["local_llm"]["warnings"]
    assert any(warning.startswith("max_output_tokens was lowered from 131,072 to ") for warning in warnings), warnings


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_not_supported_is_refused_by_name(client: AsyncOpenAI, stream: bool) -> None:
    with pytest.raises(BadRequestError) as caught:
        await client.responses.create(model="tiny", input=LEGS, previous_response_id="resp_1", stream=stream)
    assert (caught.value.param, caught.value.type) == ("previous_response_id", "invalid_request_error")
    assert "previous_response_id" in caught.value.message


@pytest.mark.parametrize("stream", [False, True])
async def test_an_unknown_model_is_a_404(client: AsyncOpenAI, stream: bool) -> None:
    with pytest.raises(NotFoundError) as caught:
        await client.responses.create(model="no-such-model", input=LEGS, stream=stream)
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("stream", [False, True])
async def test_too_long_a_prompt_is_a_400_with_the_code_that_codex_knows(client: AsyncOpenAI, stream: bool) -> None:
    with pytest.raises(APIStatusError) as caught:
        await client.responses.create(model="tiny", input="la " * 40_000, stream=stream)
    assert (caught.value.status_code, caught.value.code) == (400, "context_length_exceeded")


async def test_nothing_is_stored_so_nothing_is_found(client: AsyncOpenAI) -> None:
    with pytest.raises(NotFoundError):
        await client.responses.retrieve("resp_1")


async def test_a_stream_opens_with_two_events_and_ends_without_a_mark(door: Door) -> None:
    reply = await door.http.post("/v1/responses", json={"input": LEGS, "stream": True})
    assert reply.headers["content-type"].startswith("text/event-stream")
    told = events(reply.text)
    assert [event["type"] for event in told[:2]] == ["response.created", "response.in_progress"]
    assert told[-1]["type"] == "response.completed"
    lives = [event["response"] for event in told if "response" in event]
    assert len({response["id"] for response in lives}) == 1
    assert [response["status"] for response in lives] == ["in_progress"] * (len(lives) - 1) + ["completed"]


@pytest.mark.parametrize("stream", [True, False])
async def test_closing_the_connection_stops_the_generation(door: Door, stream: bool) -> None:
    before = (await door.app.llm.status()).calls_answered
    async with anyio.create_task_group() as tasks, httpx.AsyncClient(base_url=door.url, timeout=WAIT_S) as leaving:
        tasks.start_soon(lambda: leaving.post("/v1/responses", json=endless(stream=stream)))
        await door.until(answers=1)
        tasks.cancel_scope.cancel()
    assert (await door.until(answers=0)).calls_answered == before


async def test_a_full_queue_is_told_before_the_headers_with_a_time(tmp_path: Path) -> None:
    environ = {**private_environ(tmp_path), "MCP_LOCAL_LLM_QUEUE_SIZE": "0", "MCP_LOCAL_LLM_BATCH_SIZE": "1"}
    async with opened(environ, tmp_path) as app, open_door(app) as door, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: door.http.post("/v1/responses", json=endless()))
        await door.until(answers=1)
        reply = await door.http.post("/v1/responses", json={"input": LEGS, "stream": True})
        assert reply.status_code == 503, reply.text
        assert int(reply.headers["retry-after"]) > 0
        tasks.cancel_scope.cancel()


async def test_a_request_in_the_queue_has_its_headers_and_first_events_at_once(door: Door) -> None:
    places = 4
    async with anyio.create_task_group() as tasks:
        for _ in range(places):
            tasks.start_soon(lambda: door.http.post("/v1/responses", json=endless()))
        await door.until(answers=places)
        body = {"input": LEGS, "stream": True}
        with anyio.fail_after(WAIT_S):
            async with door.http.stream("POST", "/v1/responses", json=body) as reply:
                lines = list[str]()
                async for line in reply.aiter_lines():
                    lines.append(line)
                    if len(lines) == 4:
                        break
                state = await door.app.llm.status()
        assert lines[0] == "event: response.created"
        assert lines[3] == "event: response.in_progress"
        assert state.calls_running == places or state.waiting == 1
        tasks.cancel_scope.cancel()
    await door.until(answers=0)
