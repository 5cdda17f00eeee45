"""Chat completions as OpenAI's own client sees them."""

import json
from typing import Any

import anyio
import pytest
from openai import APIStatusError, AsyncOpenAI, AsyncStream, BadRequestError, NotFoundError
from openai.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessageParam,
    ChatCompletionToolParam,
)
from pydantic import BaseModel

from mcp_local_llm.values.chat import ChatRequest
from mcp_local_llm.values.errors import InvalidRequestError
from mcp_local_llm.wire.flavors import FLAVORS
from mcp_local_llm.wire.openai.write_request import outgoing_request
from tests.doors.http.door import ENDLESS, LEGS, Door, events, question

NO_THINKING: dict[str, Any] = {"reasoning_effort": "none"}
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather for a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
PARIS: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the weather in Paris?"}]


def asked(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def reasoning_of(message: BaseModel) -> str:
    """The field beside OpenAI's own; empty where it is not there."""
    extra: dict[str, object] = message.model_extra or {}
    return str(extra.get("reasoning", ""))


async def ask(client: AsyncOpenAI, text: str, **fields: Any) -> ChatCompletion:
    return await client.chat.completions.create(model="tiny", messages=asked(text), stream=False, **fields)


async def test_the_answer_and_its_reasoning_stand_apart(client: AsyncOpenAI) -> None:
    answer = await ask(client, LEGS)
    (choice,) = answer.choices
    assert choice.message.content == "10"
    assert choice.message.role == "assistant"
    assert choice.finish_reason == "stop"
    assert answer.model == "tiny"
    assert answer.id.startswith("chatcmpl-")
    assert "bird" in reasoning_of(choice.message)


async def test_usage_counts_cached_and_reasoning_tokens(client: AsyncOpenAI) -> None:
    await ask(client, LEGS)
    usage = (await ask(client, LEGS)).usage
    assert usage is not None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.prompt_tokens_details is not None
    assert usage.completion_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens
    assert 0 < usage.prompt_tokens_details.cached_tokens < usage.prompt_tokens
    assert usage.completion_tokens_details.reasoning_tokens
    assert 0 < usage.completion_tokens_details.reasoning_tokens < usage.completion_tokens


async def test_a_stream_joins_to_the_answer_in_one_piece(client: AsyncOpenAI) -> None:
    whole = await ask(client, LEGS)
    options = {"include_usage": True}
    stream = await ask_stream(client, messages=asked(LEGS), stream_options=options)
    deltas = [chunk.choices[0].delta for chunk in stream if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == whole.choices[0].message.content
    assert "".join(reasoning_of(delta) for delta in deltas) == reasoning_of(whole.choices[0].message) != ""
    assert [delta.role for delta in deltas if delta.role] == ["assistant"]
    assert [chunk.choices[0].finish_reason for chunk in stream if chunk.choices][-1] == "stop"
    assert [chunk.usage for chunk in stream[:-1]] == [None] * (len(stream) - 1)
    assert stream[-1].usage is not None
    assert whole.usage is not None
    assert stream[-1].usage.completion_tokens == whole.usage.completion_tokens


async def ask_stream(client: AsyncOpenAI, **fields: Any) -> list[ChatCompletionChunk]:
    stream: AsyncStream[ChatCompletionChunk]
    stream = await client.chat.completions.create(model="tiny", stream=True, **fields)
    async with stream:
        return [chunk async for chunk in stream]


async def test_what_is_certain_is_streamed_as_it_is_made(client: AsyncOpenAI) -> None:
    chunks = await ask_stream(client, messages=asked("Think long about seven."), max_tokens=80)
    assert len([chunk for chunk in chunks if reasoning_of(chunk.choices[0].delta)]) > 5
    assert chunks[-1].choices[0].finish_reason == "length"


async def test_a_raw_prompt_is_continued_piece_by_piece(client: AsyncOpenAI) -> None:
    stream = await client.completions.create(model="tiny", prompt="Once upon a time", max_tokens=20, stream=True)
    async with stream:
        pieces = [chunk.choices[0].text async for chunk in stream]
    assert len(pieces) > 5


async def test_a_tool_call_comes_back_with_json_arguments_and_its_result_is_answered(client: AsyncOpenAI) -> None:
    first = await client.chat.completions.create(model="tiny", messages=PARIS, tools=[WEATHER])
    (choice,) = first.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls
    (call,) = choice.message.tool_calls
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    turns: list[ChatCompletionMessageParam] = [
        *PARIS,
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.function.name, "arguments": call.function.arguments},
                }
            ],
        },
        {"role": "tool", "tool_call_id": call.id, "content": '{"temp": 18, "sky": "sunny"}'},
    ]
    second = await client.chat.completions.create(model="tiny", messages=turns, tools=[WEATHER])
    assert second.choices[0].finish_reason == "stop"
    assert "18" in str(second.choices[0].message.content)


async def test_a_streamed_tool_call_is_one_delta_with_an_index(client: AsyncOpenAI) -> None:
    chunks = await ask_stream(client, messages=PARIS, tools=[WEATHER])
    (call,) = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert call.index == 0
    assert call.id
    assert call.function is not None
    assert json.loads(str(call.function.arguments)) == {"city": "Paris"}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


async def test_tool_choice_none_hides_the_tools(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="tiny", messages=PARIS, tools=[WEATHER], tool_choice="none")
    assert answer.choices[0].message.tool_calls is None


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
@pytest.mark.parametrize("thinking", [{}, NO_THINKING])
async def test_a_required_call_comes_whole_and_streamed(
    client: AsyncOpenAI, choice: Any, thinking: dict[str, Any]
) -> None:
    fields: dict[str, Any] = {"tools": [WEATHER], "tool_choice": choice, "max_tokens": 300, **thinking}
    whole = await ask(client, "Hello", parallel_tool_calls=False, **fields)
    assert whole.choices[0].finish_reason == "tool_calls"
    assert whole.choices[0].message.content is None
    (call,) = whole.choices[0].message.tool_calls or []
    assert call.type == "function"
    chunks = await ask_stream(client, messages=asked("Hello"), parallel_tool_calls=False, **fields)
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    assert not any(chunk.choices[0].delta.content for chunk in chunks)
    (piece,) = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert piece.function is not None
    assert (piece.function.name, piece.function.arguments) == (call.function.name, call.function.arguments)
    assert json.loads(call.function.arguments).keys() == {"city"}


async def test_a_schema_is_met(client: AsyncOpenAI) -> None:
    schema = {"type": "object", "properties": {"legs": {"enum": [10, 12]}}, "required": ["legs"]}
    form = {"type": "json_schema", "json_schema": {"name": "legs", "strict": True, "schema": schema}}
    answer = await ask(client, LEGS, response_format=form, max_tokens=200)
    assert json.loads(str(answer.choices[0].message.content))["legs"] in (10, 12)


async def test_a_stop_string_ends_the_answer_before_it(client: AsyncOpenAI) -> None:
    answer = await ask(client, ENDLESS, stop="la la la", max_tokens=50, **NO_THINKING)
    assert answer.choices[0].finish_reason == "stop"
    assert "la la la" not in str(answer.choices[0].message.content)


async def test_a_seed_repeats_what_chance_drew(client: AsyncOpenAI) -> None:
    drawn = {"temperature": 1.8, "seed": 7, "max_tokens": 30, "frequency_penalty": 0.5, "presence_penalty": 0.5}
    first, second = [await ask(client, "Tell me something.", **drawn) for _ in range(2)]
    assert first.choices[0].message == second.choices[0].message


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_both_names_of_the_limit_cut_the_answer(client: AsyncOpenAI, name: str) -> None:
    answer = await ask(client, ENDLESS, **{name: 5}, **NO_THINKING)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5


async def test_no_thinking_means_no_reasoning(client: AsyncOpenAI) -> None:
    answer = await ask(client, LEGS, **NO_THINKING)
    assert answer.choices[0].message.content == "10"
    assert reasoning_of(answer.choices[0].message) == ""


async def test_an_empty_name_and_a_role_without_a_model_mean_the_chosen_one(client: AsyncOpenAI) -> None:
    for name in ("", "default"):
        answer = await client.chat.completions.create(model=name, messages=asked(LEGS))
        assert answer.model == "tiny"


async def test_four_at_once_get_the_answer_to_their_own_question(client: AsyncOpenAI) -> None:
    answers: dict[int, str | None] = {}

    async def one(number: int) -> None:
        schema = {"type": "object", "properties": {"n": {"const": number}}, "required": ["n"]}
        form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
        answer = await ask(client, f"Say {number}.", response_format=form, max_tokens=300, **NO_THINKING)
        answers[number] = answer.choices[0].message.content

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(one, number)
    assert {number: json.loads(str(text)) for number, text in answers.items()} == {n: {"n": n} for n in range(4)}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": -2}, "max_tokens"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"extra_body": {"grammar": "x"}}, "grammar"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
        ({"extra_body": {"messages": []}}, "messages"),
    ],
)
async def test_what_is_not_supported_is_refused_by_name(
    client: AsyncOpenAI, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        await ask(client, LEGS, **fields)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"
    assert param in caught.value.message


@pytest.mark.parametrize("stream", [False, True])
async def test_an_unknown_model_is_a_404_that_is_not_tried_again(client: AsyncOpenAI, stream: bool) -> None:
    with pytest.raises(NotFoundError) as caught:
        await client.chat.completions.create(model="no-such-model", messages=asked(LEGS), stream=stream)
    assert caught.value.code == "model_not_found"
    assert caught.value.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("stream", [False, True])
async def test_too_long_a_prompt_is_told_in_tokens(client: AsyncOpenAI, stream: bool) -> None:
    with pytest.raises(APIStatusError) as caught:
        await client.chat.completions.create(model="tiny", messages=asked("la " * 40_000), stream=stream)
    assert caught.value.status_code == 400
    assert caught.value.code == "context_length_exceeded"


async def test_a_raw_prompt_is_continued_without_a_template(client: AsyncOpenAI) -> None:
    prompt = f"<|im_start|>user\n{LEGS}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    answer = await client.completions.create(model="tiny", prompt=prompt)
    assert answer.choices[0].text == "10"
    assert answer.choices[0].finish_reason == "stop"
    stream = await client.completions.create(model="tiny", prompt=prompt, stream=True)
    async with stream:
        assert "".join([chunk.choices[0].text async for chunk in stream]) == "10"


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"prompt": ["a", "b"]}, "prompt"), ({"prompt": [1, 2]}, "prompt"), ({"suffix": "x"}, "suffix"), ({"n": 2}, "n")],
)
async def test_what_a_raw_prompt_cannot_have_is_refused_by_name(door: Door, fields: dict[str, Any], param: str) -> None:
    reply = await door.http.post("/v1/completions", json={"model": "tiny", "prompt": "Once", **fields})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == param


def test_a_raw_prompt_is_sent_to_a_server_of_our_own_alone() -> None:
    with pytest.raises(InvalidRequestError, match="chat template"):
        outgoing_request(ChatRequest((), prompt="Once"), "m", FLAVORS["openai"])
    ours = outgoing_request(ChatRequest((), prompt="Once", thinking=True, stream=True), "m", FLAVORS["mcp-local-llm"])
    assert (ours.path, ours.warnings) == ("/completions", ())
    assert ours.body == {"model": "m", "prompt": "Once", "stream": True, "stream_options": {"include_usage": True}}


async def test_every_event_of_a_stream_is_json_of_one_answer(door: Door) -> None:
    reply = await door.http.post("/v1/chat/completions", json=question(LEGS, stream=True))
    assert reply.headers["content-type"].startswith("text/event-stream")
    told = events(reply.text)
    assert len({event["id"] for event in told}) == 1
    assert {event["object"] for event in told} == {"chat.completion.chunk"}
    assert told[-1]["local_llm"]["timings"]["decode_s"] > 0
