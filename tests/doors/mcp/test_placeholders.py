"""What clients send for "nothing" counts as left out, and what means something does not."""

from typing import Any

import pytest
from mcp import Client

from tests.doors.mcp.answers import ask, numbers, refusal, texts
from tests.wire import open_wire

HELLO: dict[str, Any] = {"message": "Hello", "thinking": False, "temperature": 0, "max_tokens": 24}


@pytest.fixture(scope="module")
async def greeting(client: Client) -> list[str]:
    return texts(await ask(client, **HELLO))


NOTHING: list[dict[str, Any]] = [
    {"response_schema": {}},
    {"response_schema": ""},
    {"response_schema": "{}"},
    {"response_schema": None},
    {"response_schema": []},
    {"max_tokens": 0},
    {"max_tokens": -1},
    {"max_tokens": "0"},
    {"max_tokens": ""},
    {"max_thinking_tokens": -1},
    {"max_thinking_tokens": ""},
    {"max_seconds": 0},
    {"max_seconds": -1},
    {"max_seconds": ""},
    {"top_p": 0},
    {"top_p": 0.0},
    {"top_p": ""},
    {"history": ""},
    {"history": []},
    {"history": "[]"},
    {"history": {}},
    {"history": [None, {}]},
    {"tools": ""},
    {"tools": "[]"},
    {"tools": {}},
    {"tools": [{}]},
    {"stop": [""]},
    {"stop": ""},
    {"stop": []},
    {"stop": '[""]'},
    {"stop": [None]},
    {"temperature": ""},
    {"temperature": " "},
    {"temperature": []},
    {"seed": -1},
    {"seed": ""},
    {"system": ""},
    {"system": None},
    {"system": []},
    {"model": ""},
    {"model": None},
    {"thinking": ""},
    {"thinking": {}},
]


@pytest.mark.parametrize("arguments", NOTHING, ids=str)
async def test_a_placeholder_counts_as_left_out(client: Client, greeting: list[str], arguments: dict[str, Any]) -> None:
    call: dict[str, Any] = {**HELLO, **arguments}
    if arguments.get("thinking") is not None:
        # Left to the model, which thinks before it says the same.
        call["max_tokens"] = 400
    if "max_tokens" in arguments:
        call["stop"] = ["\n\n\n"]
    assert texts(await ask(client, **call)) == greeting


async def test_all_placeholders_together_count_as_left_out(client: Client, greeting: list[str]) -> None:
    together = {name: value for arguments in NOTHING for name, value in arguments.items()}
    call: dict[str, Any] = {**together, "message": "Hello", "thinking": False, "temperature": 0}
    assert texts(await ask(client, **call)) == greeting


async def test_what_means_something_stays(client: Client) -> None:
    result = await ask(client, "Hello", thinking=True, max_thinking_tokens=0, seed=0, temperature=0)
    assert numbers(result)["usage"]["reasoning_tokens"] == 0
    first, second = [
        texts(await ask(client, "Hello", thinking=False, temperature=2, seed=0, max_tokens=24)) for _ in "ab"
    ]
    assert first == second


async def test_one_stop_string_needs_no_list(client: Client) -> None:
    for stop in ("5", ["", "5"], '["5"]'):
        assert texts(await ask(client, "Count from 1 to 20.", thinking=False, stop=stop)) == ["1, 2, 3, 4,"]


@pytest.mark.parametrize("system", ['{"role": "pirate"}', "[1, 2]", "null", "5", '"x"'])
async def test_a_system_prompt_that_is_json_is_text(client: Client, system: str) -> None:
    told = numbers(await ask(client, system=system, **HELLO))["usage"]["prompt_tokens"]
    bare = numbers(await ask(client, **HELLO))["usage"]["prompt_tokens"]
    assert told > bare


@pytest.mark.parametrize("model", ["[]", '{"a": 1}'])
async def test_a_name_that_is_json_is_a_name(client: Client, model: str) -> None:
    assert "string" not in await refusal(client, "chat", {"message": "Hi", "model": model})


async def test_json_in_a_text_may_have_no_more_values_than_json(client: Client) -> None:
    many = f"[{'{},' * 200_000}{{}}]"
    for name in ("history", "tools", "response_schema"):
        told = await refusal(client, "chat", {"message": "Hi", name: many})
        assert told == f"{name}: it has more than 200,000 values."
    assert "context window" in await refusal(client, "chat", {"message": many})


async def test_placeholders_in_turns_and_tools_count_as_left_out(client: Client) -> None:
    function = {"name": "get_weather", "arguments": {"city": "Paris"}}
    asked = {"role": "user", "content": "What is the weather in Paris?"}
    called: dict[str, Any] = {"role": "assistant", "tool_calls": [{"function": function}]}
    sunny = {"role": "tool", "content": '{"temp": 18, "sky": "sunny"}'}
    bare = await ask(client, "", history=[asked, called, sunny], tools=[{"name": "get_weather"}])
    turns: list[dict[str, Any]] = [
        {**asked, "name": "", "tool_calls": [], "tool_call_id": ""},
        {**called, "content": None, "tool_calls": [{"id": "", "function": function}, {}]},
        {**sunny, "tool_call_id": None, "tool_calls": None},
    ]
    tool = {"name": "get_weather", "description": None, "parameters": None}
    full = await ask(client, "", history=turns, tools=[tool])
    assert texts(full) == texts(bare)
    assert numbers(full)["usage"]["prompt_tokens"] == numbers(bare)["usage"]["prompt_tokens"]


async def test_other_tools_take_placeholders_as_well(client: Client) -> None:
    assert not (await client.call_tool("quick_test", {"test": ""})).is_error
    assert "name" in await refusal(client, "set_model", {"name": None})
    assert "no model" in (await refusal(client, "set_model", {"name": "llama-99b", "download": ""})).lower()


@pytest.mark.parametrize("nothing", [None, [], "", {}], ids=repr)
async def test_arguments_that_are_nothing_count_as_none(environ: dict[str, str], era: str, nothing: object) -> None:
    async with open_wire(environ, era) as wire:
        for method, name in (("tools/call", "list_models"), ("prompts/get", "switch-model")):
            answer = await wire.answer(await wire.request(method, {"name": name, "arguments": nothing}))
            assert "result" in answer, answer
        answer = await wire.answer(
            await wire.request("prompts/get", {"name": "switch-model", "arguments": {"name": nothing}})
        )
        assert "result" in answer, answer


@pytest.mark.parametrize(
    ("method", "params", "says"),
    [
        ("tools/call", {"name": "status", "arguments": 5}, "params.arguments"),
        ("tools/call", {"name": "status", "arguments": ["x"]}, "params.arguments"),
        ("prompts/get", {"name": "switch-model", "arguments": {"name": 5}}, "params.arguments.name"),
        ("completion/complete", {}, "params.argument"),
    ],
)
async def test_a_wrong_parameter_of_a_request_is_refused_by_name(
    environ: dict[str, str], method: str, params: dict[str, Any], says: str
) -> None:
    async with open_wire(environ, "legacy") as wire:
        error = (await wire.answer(await wire.request(method, params)))["error"]
        assert (error["code"], f"{method}: {says}" in error["message"]) == (-32602, True), error
