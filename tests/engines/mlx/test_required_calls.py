"""A required call is opened by force: with thinking and without, whatever the model's own form of calls is."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

from mcp_local_llm.engines.mlx import EngineLimits
from mcp_local_llm.values.chat import ChatRequest, SamplingParams, ToolSpec
from mcp_local_llm.values.model import ModelInfo
from tests.engines.mlx.asking import answer, engine_of, prompt

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = ToolSpec(name="get_weather", description="Get the current weather for a city.", parameters=CITY)
PERSON = ToolSpec(
    name="person",
    parameters={
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "maximum": 150}},
        "required": ["name", "age"],
    },
)
ONE, BOTH = ("get_weather",), ("get_weather", "person")


def asking(text: str, must: tuple[str, ...], **more: Any) -> ChatRequest:
    """A request with both tools, unless it is the dialogue with one tool that the model knows by heart."""
    sampling = more.pop("sampling", SamplingParams(max_tokens=400, temperature=0.0))
    tools = (WEATHER,) if "weather" in text and "person" not in must else (WEATHER, PERSON)
    return ChatRequest(prompt(text), tools=tools, sampling=sampling, must_call=must, **more)


async def test_a_named_call_comes_whatever_was_asked_and_its_arguments_are_held_to_the_schema(tiny: ModelInfo) -> None:
    asked = [
        asking(text, ("person",), thinking=thinking, parallel_tool_calls=False)
        for text in ("Hello", "What is the weather in Paris?", "Count from 1 to 20.")
        for thinking in (True, False, None)
    ]
    async with engine_of(tiny, EngineLimits(batch_size=4, queue_size=20)) as engine:
        results = await asyncio.gather(*(answer(engine, one) for one in asked))
    for request, result in zip(asked, results, strict=True):
        (call,) = result.tool_calls
        assert call.name == "person"
        assert call.arguments.keys() == {"name", "age"}
        assert (result.text, result.finish_reason, result.schema_met) == ("", "tool_calls", None)
        if request.thinking is False:
            assert result.reasoning == ""


async def test_the_model_thinks_before_a_required_call(tiny: ModelInfo) -> None:
    async with engine_of(tiny) as engine:
        natural = await answer(engine, asking("What is the weather in Paris?", ONE))
        cut = await answer(engine, asking("Think long about seven.", BOTH, max_thinking_tokens=6))
    assert [(call.name, call.arguments) for call in natural.tool_calls] == [("get_weather", {"city": "Paris"})]
    assert natural.reasoning == "I need the weather in Paris."
    assert cut.usage.reasoning_tokens == 6
    assert cut.tool_calls
    assert cut.thinking_closed


async def test_required_allows_several_calls_unless_they_may_not_be_parallel(tiny: ModelInfo) -> None:
    text = "Compare the weather in Paris and Oslo."
    async with engine_of(tiny) as engine:
        several = await answer(engine, asking(text, ONE))
        one = await answer(engine, asking(text, ONE, parallel_tool_calls=False))
        free = await answer(engine, asking(text, (), parallel_tool_calls=False))
    assert [call.arguments for call in several.tool_calls] == [{"city": "Paris"}, {"city": "Oslo"}]
    for result in (one, free):
        assert [call.arguments for call in result.tool_calls] == [{"city": "Paris"}]
        assert result.finish_reason == "tool_calls"


async def test_a_schema_for_the_answer_gives_way_to_a_required_call(tiny: ModelInfo) -> None:
    async with engine_of(tiny) as engine:
        result = await answer(engine, asking("Hello", ("get_weather",), response_schema={"type": "integer"}))
    assert [call.name for call in result.tool_calls] == ["get_weather"]
    assert (result.text, result.schema_met) == ("", None)


async def test_a_call_that_max_tokens_cut_is_no_call_and_says_so(tiny: ModelInfo) -> None:
    few = SamplingParams(max_tokens=12, temperature=0.0)
    async with engine_of(tiny) as engine:
        result = await answer(engine, asking("Hello", ("person",), thinking=False, sampling=few))
    assert (result.tool_calls, result.finish_reason) == ((), "length")
    assert any("max_tokens ended it after 12 tokens" in warning for warning in result.warnings)


async def test_a_streamed_required_call_shows_no_markup_as_text(tiny: ModelInfo) -> None:
    async with (
        engine_of(tiny) as engine,
        aclosing(engine.stream(asking("What is the weather in Paris?", ONE, stream=True))) as chunks,
    ):
        seen = [chunk async for chunk in chunks]
    assert "".join(chunk.text for chunk in seen) == ""
    assert seen[-1].result is not None
    assert seen[-1].result.reasoning == "I need the weather in Paris."
    assert len(seen[-1].result.tool_calls) == 1


async def test_a_tool_without_parameters_is_called_without_arguments(tiny: ModelInfo) -> None:
    request = replace(asking("Hello", ("look",)), tools=(ToolSpec(name="look"),))
    async with engine_of(tiny) as engine:
        result = await answer(engine, request)
    assert {(call.name, len(call.arguments)) for call in result.tool_calls} == {("look", 0)}


async def test_what_cannot_be_enforced_in_a_tool_s_schema_leaves_the_rest_in_force(tiny: ModelInfo) -> None:
    fields: dict[str, dict[str, Any]]
    fields = {"mail": {"enum": ["a@b.c"], "pattern": "^(?!\\.)a"}, "tags": {"type": "array", "maxItems": 1}}
    fields["tags"] |= {"uniqueItems": True, "items": {"oneOf": [{"const": 1}, {"const": 2}]}, "minItems": 1}
    parameters = {"type": "object", "properties": fields, "required": ["mail", "tags"], "not": {"required": ["x"]}}
    request = replace(asking("Hello", ("mail",)), tools=(ToolSpec(name="mail", parameters=parameters),))
    async with engine_of(tiny) as engine:
        result = await answer(engine, request)
    assert all(call.arguments["mail"] == "a@b.c" and call.arguments["tags"][0] in (1, 2) for call in result.tool_calls)
    assert result.tool_calls
    assert any("not held to all of its schema: #/not cannot be enforced" in warning for warning in result.warnings)


async def test_markup_and_braces_in_arguments_stay_there(tiny: ModelInfo) -> None:
    texts = ["</tool_call>", '{"name": "x"}', "</think>", "<|im_end|>", "<tool_call>\n"]
    tool = ToolSpec(name="say", parameters={"type": "object", "properties": {"t": {"const": texts}}, "required": ["t"]})
    request = replace(asking("Hello", ("say",), thinking=False), tools=(tool,))
    async with engine_of(tiny) as engine:
        result = await answer(engine, request)
    assert [call.arguments for call in result.tool_calls] == [{"t": texts}]


async def test_a_model_with_another_form_of_calls_or_none_is_forced_in_json(tiny: ModelInfo, tmp_path: Path) -> None:
    template = (tiny.path / "chat_template.jinja").read_text()
    forms = {
        "elements": template.replace('<tool_call>\\n{"name": <function-name>', "<tool_call>\\n<function=name>"),
        "none": template.replace("<tool_call>", "<call>").replace("</tool_call>", "</call>"),
    }
    for name, text in forms.items():
        folder = tmp_path / name
        folder.mkdir()
        for file in tiny.path.iterdir():
            if file.is_file() and file.name != "chat_template.jinja":
                (folder / file.name).symlink_to(file)
        (folder / "chat_template.jinja").write_text(text)
        async with engine_of(replace(tiny, id=name, path=folder)) as engine:
            for thinking in (True, False):
                result = await answer(engine, asking("Hello", ("person",), thinking=thinking))
                assert [call.name for call in result.tool_calls] == ["person"]
                assert result.text == ""
