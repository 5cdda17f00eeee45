"""With a schema the answer is JSON that validates, or the result says why it is not."""

import asyncio
import json
import random
from contextlib import aclosing
from typing import Any

import anyio
import jsonschema
import pytest

from mcp_local_llm.engines.mlx import EngineLimits
from mcp_local_llm.engines.mlx.engine import MlxEngine
from mcp_local_llm.engines.mlx.steer.grammar import GrammarError, TokenGrammar
from mcp_local_llm.values.chat import ChatRequest, ChatResult, SamplingParams, ToolSpec
from mcp_local_llm.values.errors import GenerationError, InvalidRequestError
from mcp_local_llm.values.model import ModelInfo
from tests.engines.mlx.asking import answer, engine_of, prompt
from tests.engines.mlx.random_schemas import random_schema

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
QUESTIONS = (
    "Ada Lovelace was 36 years old.",
    "Hello",
    "Count from 1 to 20.",
    "Repeat the word la forever.",
    "Give me a JSON list of three prime numbers.",
    "Say hello in Japanese.",
)
WEATHER = ToolSpec(
    name="get_weather",
    parameters={"type": "object", "properties": {"city": {"enum": ["Oslo", "Rome"]}}, "required": ["city"]},
)


def request(text: str, schema: dict[str, Any] | None = None, **more: Any) -> ChatRequest:
    sampling = more.pop("sampling", SamplingParams(max_tokens=600, temperature=0.0))
    return ChatRequest(prompt(text), sampling=sampling, response_schema=schema, **more)


def validate(result: ChatResult, schema: dict[str, Any]) -> Any:
    value = json.loads(result.text)
    jsonschema.Draft202012Validator(schema).validate(value)  # pyright: ignore[reportUnknownMemberType]
    return value


@pytest.mark.slow
@pytest.mark.parametrize("count", [40, pytest.param(200, marks=pytest.mark.sweep)])
async def test_every_answer_to_so_many_random_schemas_and_prompts_validates(tiny: ModelInfo, count: int) -> None:
    source = random.Random(20)
    schemas = [random_schema(source) for _ in range(count)]

    async def one(engine: MlxEngine, schema: dict[str, Any], seed: int) -> None:
        text = QUESTIONS[seed % len(QUESTIONS)]
        # At 2.0 the model thinks nonsense and would end its turn anywhere.
        sampling = SamplingParams(max_tokens=2000, temperature=(0.0, 1.0, 0.0, 2.0)[seed % 4], seed=seed)
        result = await answer(
            engine, request(text, schema, sampling=sampling, thinking=seed % 3 == 0, max_thinking_tokens=200)
        )
        assert result.schema_met, schema
        assert result.finish_reason == "stop", schema
        validate(result, schema)

    async with engine_of(tiny, EngineLimits(batch_size=4, queue_size=200)) as engine:
        with anyio.fail_after(300):
            await asyncio.gather(*(one(engine, schema, seed) for seed, schema in enumerate(schemas)))


async def test_json_starts_after_the_thought_and_holds_nothing_else(tiny: ModelInfo) -> None:
    async with engine_of(tiny) as engine:
        thought = await answer(engine, request("How many legs do two cats and a bird have?", {"type": "integer"}))
        cut = await answer(engine, request("Think long about seven.", PERSON, max_thinking_tokens=4))
        off = await answer(engine, request("Ada Lovelace was 36 years old.", PERSON, thinking=False))
    assert thought.text == "10"
    assert "cats" in thought.reasoning
    validate(cut, PERSON)
    assert cut.usage.reasoning_tokens == 4
    validate(off, PERSON)
    assert off.reasoning == ""


async def test_an_answer_cut_by_max_tokens_says_that_it_does_not_validate(tiny: ModelInfo) -> None:
    async with engine_of(tiny) as engine:
        few = SamplingParams(max_tokens=5, temperature=0.0)
        result = await answer(engine, request("Ada", PERSON, sampling=few, thinking=False))
        thinking = await answer(engine, request("Think long about seven.", PERSON, sampling=few))
    assert result.text.startswith('{"name": "')
    assert (result.finish_reason, result.schema_met) == ("length", False)
    assert any("max_tokens ended it after 5 tokens" in warning for warning in result.warnings)
    assert (thinking.text, thinking.finish_reason, thinking.schema_met) == ("", "length", False)


async def test_a_stop_string_in_the_json_is_told_as_what_broke_it(tiny: ModelInfo) -> None:
    sampling = SamplingParams(max_tokens=100, temperature=0.0, stop=('"age"',))
    async with engine_of(tiny) as engine:
        result = await answer(engine, request("Ada", PERSON, sampling=sampling, thinking=False))
    assert '"age"' not in result.text
    assert result.schema_met is False


async def test_markup_inside_json_strings_stays_there(tiny: ModelInfo) -> None:
    texts = ["</think>", "<|im_end|>", "<tool_call>\n{}\n</tool_call>", "<think>", "```"]
    schema = {"const": texts}
    async with engine_of(tiny) as engine:
        result = await answer(engine, request("Hello", schema, thinking=False))
    assert json.loads(result.text) == texts
    assert result.schema_met


async def test_streamed_json_is_the_result_piece_by_piece(tiny: ModelInfo) -> None:
    pieces: list[str] = []
    result: ChatResult | None = None
    async with (
        engine_of(tiny) as engine,
        aclosing(engine.stream(request("Ada", PERSON, thinking=False, stream=True))) as chunks,
    ):
        async for chunk in chunks:
            pieces.append(chunk.text)
            result = chunk.result or result
    assert result is not None
    assert len([piece for piece in pieces if piece]) > 3
    assert result.text.startswith("".join(pieces))


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"type": "array", "items": {"type": "string"}, "uniqueItems": True}, "#/uniqueItems"),
    ({"properties": {"a": {"not": {"type": "null"}}}}, "#/properties/a/not"),
    ({"allOf": [{"if": {}, "then": {}}]}, "#/allOf/0/if"),
    ({"$defs": {"a": {"contains": {}}}, "$ref": "#/$defs/a"}, "#/$defs/a/contains"),
    ({"type": "object", "minProperties": 1}, "#/minProperties"),
    ({"type": "string", "pattern": "(?=a)b"}, "look-around"),
    ({"type": "string", "format": "colour"}, "colour"),
    ({"type": "thing"}, "thing"),
    ({"$ref": "https://example.org/schema.json"}, "https://example.org/schema.json"),
    ({"type": "string", "minLength": 3, "maxLength": 1}, "minLength"),
    ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, "oneOf"),
    ({"enum": [1796325471029384705, 1796325471029384706]}, "#/enum (an integer beyond 2^53"),
    ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "nothing can satisfy it"),
]
INNER_WORDS = ("NoExtension", "Unimplemented", "coerce", "%json", "registry", "x-guidance", "<state>")


async def test_what_cannot_be_enforced_is_refused_by_name(tiny: ModelInfo) -> None:
    async with engine_of(tiny) as engine:
        for schema, name in REFUSED:
            with pytest.raises(InvalidRequestError) as caught:
                await answer(engine, request("Hello", schema))
            assert name in str(caught.value), schema
            assert not any(word in str(caught.value) for word in INNER_WORDS), schema


async def test_keywords_that_say_nothing_are_accepted(tiny: ModelInfo) -> None:
    number = {"type": "integer", "minimum": 0, "maximum": 9}
    record = {"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": number}
    listed = {
        "type": "object",
        "propertyNames": {"enum": ["a", "b"]},
        "additionalProperties": number,
        "required": ["a"],
    }
    few = SamplingParams(max_tokens=4, temperature=0.0)
    async with engine_of(tiny) as engine:
        result = await answer(engine, request("Hello", record, thinking=False, sampling=few))
        names = validate(await answer(engine, request("Hello", listed, thinking=False)), listed)
    assert result.text.startswith("{")
    assert "a" in names


async def test_an_answer_that_ran_out_of_tokens_in_an_endless_list_is_told_to_bound_it(tiny: ModelInfo) -> None:
    schema = {"type": "array", "items": {"type": "integer"}, "minItems": 200}
    few = SamplingParams(max_tokens=30, temperature=0.0)
    async with engine_of(tiny) as engine:
        result = await answer(engine, request("Count from 1 to 150.", schema, thinking=False, sampling=few))
    assert result.schema_met is False
    assert "# (maxItems)" in result.schema_advice
    assert any(result.schema_advice in warning for warning in result.warnings)


async def test_a_stop_string_that_takes_the_end_off_the_json_is_no_met_schema(tiny: ModelInfo) -> None:
    sampling = SamplingParams(max_tokens=200, temperature=0.0, stop=("}",))
    async with engine_of(tiny) as engine:
        result = await answer(engine, request("Ada", PERSON, sampling=sampling, thinking=False))
    assert not result.text.endswith("}")
    assert result.schema_met is False


async def test_names_and_values_that_only_look_like_keywords_are_accepted(tiny: ModelInfo) -> None:
    schema = {
        "type": "object",
        "properties": {"not": {"enum": [{"uniqueItems": True}]}, "if": {"const": {"contains": 1}}},
        "required": ["not", "if"],
        "additionalProperties": False,
    }
    async with engine_of(tiny) as engine:
        result = await answer(engine, request("Hello", schema, thinking=False))
    assert validate(result, schema) == {"not": {"uniqueItems": True}, "if": {"contains": 1}}


async def test_free_and_constrained_requests_do_not_disturb_each_other(tiny: ModelInfo) -> None:
    asked = [
        request("Hello", sampling=SamplingParams(max_tokens=60, temperature=0.0)),
        request("Ada Lovelace was 36 years old.", PERSON, thinking=False),
        request("Count from 1 to 20."),
        request("Hello", {"type": "array", "items": {"type": "integer"}, "minItems": 9, "maxItems": 9}, thinking=False),
    ]
    async with engine_of(tiny) as engine:
        alone = [await answer(engine, one) for one in asked]
        together = await asyncio.gather(*(answer(engine, one) for one in asked))
    assert [one.text for one in together] == [one.text for one in alone]
    validate(together[1], PERSON)
    assert len(json.loads(together[3].text)) == 9


async def test_a_grammar_that_fails_ends_its_own_request_alone(
    tiny: ModelInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept, taken = TokenGrammar.accept, list[int]()

    def failing(self: TokenGrammar, token: int) -> None:
        taken.append(token)
        if len(taken) > 5:
            raise GrammarError("it is too complex")
        accept(self, token)

    async with engine_of(tiny) as engine:
        monkeypatch.setattr(TokenGrammar, "accept", failing)
        outcomes = await asyncio.gather(
            answer(engine, request("Count from 1 to 20.")),
            answer(engine, request("Ada", PERSON, thinking=False)),
            return_exceptions=True,
        )
        monkeypatch.undo()
        after = await answer(engine, request("Ada", PERSON, thinking=False))
    assert isinstance(outcomes[0], ChatResult)
    assert outcomes[0].text.startswith("1, 2, 3")
    assert isinstance(outcomes[1], GenerationError)
    assert "too complex. Make the schema simpler." in str(outcomes[1])
    assert after.schema_met


async def test_the_arguments_of_a_call_are_held_to_the_tools_schema(tiny: ModelInfo) -> None:
    async with engine_of(tiny) as engine:
        # Paris is what the model would write; the schema knows only two other cities.
        free = await answer(engine, request("What is the weather in Paris?", tools=(_free_tool(),)))
        held = await answer(engine, request("What is the weather in Paris?", tools=(WEATHER,)))
    assert [(call.name, call.arguments) for call in free.tool_calls] == [("get_weather", {"city": "Paris"})]
    (call,) = held.tool_calls
    assert call.name == "get_weather"
    assert call.arguments["city"] in ("Oslo", "Rome")
    assert held.finish_reason == "tool_calls"


async def test_a_tool_with_references_of_its_own_is_held_to_them(tiny: ModelInfo) -> None:
    place = {"type": "object", "properties": {"city": {"const": "Oslo"}}, "required": ["city"]}
    tool = ToolSpec(
        name="get_weather",
        parameters={"$defs": {"place": place}, "properties": {"at": {"$ref": "#/$defs/place"}}, "required": ["at"]},
    )
    async with engine_of(tiny) as engine:
        result = await answer(engine, request("What is the weather in Paris?", tools=(tool, WEATHER), thinking=False))
    (call,) = result.tool_calls
    assert call.arguments["at"]["city"] == "Oslo" if "at" in call.arguments else call.arguments["city"]


async def test_a_tool_whose_schema_cannot_be_enforced_is_offered_with_a_warning(tiny: ModelInfo) -> None:
    tool = ToolSpec(name="get_weather", parameters={**_free_tool().parameters, "not": {"required": ["x"]}})
    async with engine_of(tiny) as engine:
        result = await answer(engine, request("What is the weather in Paris?", tools=(tool,)))
    assert [call.arguments for call in result.tool_calls] == [{"city": "Paris"}]
    assert any("get_weather" in warning and "#/not" in warning for warning in result.warnings)


async def test_with_tools_and_a_schema_the_model_may_do_either(tiny: ModelInfo) -> None:
    async with engine_of(tiny) as engine:
        called = await answer(engine, request("What is the weather in Paris?", PERSON, tools=(WEATHER,)))
        answered = await answer(engine, request("Hello", PERSON, tools=(WEATHER,)))
    assert called.tool_calls
    assert called.schema_met is None
    if not answered.tool_calls:
        validate(answered, PERSON)


def _free_tool() -> ToolSpec:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return ToolSpec(name="get_weather", description="Weather of a city.", parameters=parameters)
