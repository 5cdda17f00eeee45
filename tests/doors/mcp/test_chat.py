"""`chat` as a client sees it: plain text, numbers beside it, reasoning never in it."""

import json
from typing import Any

import pytest
from mcp import Client

from tests.doors.mcp.answers import LEGS, ask, numbers, texts

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather for a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ASKED = {"role": "user", "content": "What is the weather in Paris?"}
CALLED = {"role": "assistant", "tool_calls": [{"name": "get_weather", "arguments": {"city": "Paris"}}]}
SUNNY = {"role": "tool", "content": '{"temp": 18, "sky": "sunny"}'}


async def test_the_answer_is_plain_text_and_the_numbers_stand_beside_it(client: Client) -> None:
    result = await ask(client, LEGS)
    assert texts(result) == ["10"]
    assert result.structured_content is None
    told = numbers(result)
    assert told["model"] == "tiny"
    assert told["finish_reason"] == "stop"
    assert told["reasoning_characters"] > 0
    usage, timings = told["usage"], told["timings"]
    assert 0 < usage["reasoning_tokens"] < usage["completion_tokens"]
    assert usage["prompt_tokens"] > 0
    assert set(timings) == {"queued_s", "load_s", "prefill_s", "decode_s"}
    assert all(seconds >= 0 for seconds in timings.values())


async def test_no_thinking_means_no_reasoning_and_the_same_answer(client: Client) -> None:
    result = await ask(client, LEGS, thinking=False)
    assert texts(result) == ["10"]
    assert numbers(result)["reasoning_characters"] == 0
    assert numbers(result)["usage"]["reasoning_tokens"] == 0


async def test_a_thought_cut_off_by_the_limit_is_no_answer_and_says_what_to_change(client: Client) -> None:
    result = await ask(client, LEGS, thinking=True, max_tokens=5)
    (text,) = texts(result)
    assert text.startswith("[No answer:")
    assert "after 5 tokens" in text
    assert "thinking=false" in text
    assert "max_tokens" in text
    assert numbers(result)["finish_reason"] == "length"
    assert numbers(result)["reasoning_characters"] > 0


async def test_an_answer_cut_off_by_the_limit_says_so_behind_its_text(client: Client) -> None:
    result = await ask(client, "Repeat the word la forever.", thinking=False, max_tokens=6)
    text, note = texts(result)
    assert text.startswith("la la")
    assert note == "[Cut off: max_tokens was reached after 6 tokens. Call again with a larger max_tokens.]"
    assert numbers(result)["finish_reason"] == "length"
    assert numbers(result)["usage"]["completion_tokens"] == 6


@pytest.mark.parametrize("tool", [WEATHER, WEATHER["function"]], ids=["openai", "plain"])
async def test_tool_calls_follow_as_a_block_of_json(client: Client, tool: dict[str, Any]) -> None:
    result = await ask(client, ASKED["content"], tools=[tool])
    note, calls = texts(result)
    assert note == "[The model asks for 1 tool call.]"
    assert json.loads(calls) == [{"name": "get_weather", "arguments": {"city": "Paris"}}]
    assert numbers(result)["finish_reason"] == "tool_calls"


async def test_two_tool_calls_of_one_answer_stand_in_one_list(client: Client) -> None:
    result = await ask(client, "Compare the weather in Paris and Oslo.", tools=[WEATHER])
    assert [call["arguments"]["city"] for call in json.loads(texts(result)[1])] == ["Paris", "Oslo"]


async def test_without_tools_nothing_is_parsed_as_a_call(client: Client) -> None:
    assert texts(await ask(client, ASKED["content"])) == ["I have no weather tool."]


async def test_the_result_of_a_tool_comes_back_through_the_history(client: Client) -> None:
    result = await ask(client, "", history=[ASKED, CALLED, SUNNY], tools=[WEATHER])
    assert texts(result) == ["It is 18 degrees and sunny in Paris."]


async def test_a_call_in_the_history_may_have_the_shape_of_openai(client: Client) -> None:
    function = {"name": "get_weather", "arguments": {"city": "Paris"}}
    called = {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": function}]}
    result = await ask(client, "", history=[ASKED, called, {**SUNNY, "tool_call_id": "1"}], tools=[WEATHER])
    assert texts(result) == ["It is 18 degrees and sunny in Paris."]


@pytest.mark.parametrize("arguments", ['{"city": "Paris"}', '{"city": ', "null", ""])
async def test_a_history_with_odd_calls_and_contents_is_answered(client: Client, arguments: str) -> None:
    called = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}
    seen: dict[str, Any] = {
        "role": "user",
        "content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {}}],
    }
    assert texts(await ask(client, "Hello", history=[seen, called, SUNNY]))


async def test_earlier_turns_are_known(client: Client) -> None:
    told = {"role": "user", "content": "My name is Ada."}
    greeted = {"role": "assistant", "content": "Nice to meet you, Ada!"}
    assert texts(await ask(client, "What is my name?", history=[told, greeted])) == ["Your name is Ada."]
    assert texts(await ask(client, "What is my name?")) == ["You have not told me your name."]


async def test_a_system_prompt_is_heard(client: Client) -> None:
    assert texts(await ask(client, "Hello", system="You are a pirate.")) == ["Ahoy, matey! What be ye needin' today?"]


async def test_the_answer_ends_before_a_stop_string(client: Client) -> None:
    result = await ask(client, "Count from 1 to 20.", thinking=False, stop=["5", "9"])
    assert texts(result) == ["1, 2, 3, 4,"]
    assert numbers(result)["finish_reason"] == "stop"


async def test_a_seed_makes_sampling_repeatable(client: Client) -> None:
    drawn = {"temperature": 2.0, "thinking": False, "max_tokens": 24}
    first = [texts(await ask(client, "Hello", seed=7, **drawn)) for _ in range(2)]
    assert first[0] == first[1]
    others = [texts(await ask(client, "Hello", seed=seed, **drawn)) for seed in (1, 2, 3)]
    assert any(other != first[0] for other in others)


async def test_markup_and_other_scripts_arrive_as_they_were_written(client: Client) -> None:
    assert texts(await ask(client, "Say hello in Japanese.")) == ["こんにちは、世界！"]
    (thought,) = texts(await ask(client, "How do reasoning models mark their thoughts?"))
    assert "`<think>` and `</think>`" in thought
