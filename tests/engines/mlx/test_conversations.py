"""Strict chat templates get a conversation that they accept, and templates without tools get them as text."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from mcp_local_llm.engines.mlx import EngineLimits
from mcp_local_llm.engines.mlx.prompt.render import render
from mcp_local_llm.engines.mlx.prompt.text_model import TextModel
from mcp_local_llm.parsing import parse
from mcp_local_llm.values.chat import ChatRequest, Message, Role, SamplingParams, ToolCall, ToolSpec
from mcp_local_llm.values.errors import InvalidRequestError
from mcp_local_llm.values.model import ModelInfo
from tests.engines.mlx.asking import answer, engine_of, prompt
from tests.engines.mlx.templates import CALLING, CHATML, GLM, text_model
from tests.engines.mlx.test_thinking import other_template

ALTERNATING = (
    "{% for m in messages %}{% if m.role != ['user', 'assistant'][loop.index0 % 2] %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "[{{ m.role }}]{{ m.content }}{% endfor %}"
)
ONE_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' and not loop.first %}"
    "{{ raise_exception('System message must be at the beginning.') }}{% endif %}"
    "[{{ m.role }}]{{ m.content }}{% endfor %}"
)
STRICT = (
    "{% set rest = messages[1:] if messages[0].role == 'system' else messages %}"
    "{% if messages[0].role == 'system' %}[system]{{ messages[0].content }}{% endif %}"
    "{% for m in rest %}{% if m.role != ['user', 'assistant'][loop.index0 % 2] %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}"
)
HEAD, REMINDER = "leading system turns are merged", "written as user text, inside <system-reminder>"
JOINED, INTO_USER = "neighbouring turns of one role are joined", "the system turn is written into the first user turn"

# Template, the roles of the turns (their texts are their numbers), what is rendered, and the warnings.
REFUSED: list[tuple[str, str, str, list[str]]] = [
    (STRICT, "s u u", "[system]0[user]1\n\n2", [JOINED]),
    (STRICT, "s s u", "[system]0\n\n1[user]2", [HEAD]),
    (STRICT, "u s u", "[user]0\n\n<1>\n\n2", [REMINDER, JOINED]),
    (STRICT, "s u a s u", "[system]0[user]1[assistant]2[user]<3>\n\n4", [REMINDER, JOINED]),
    (STRICT, "s u a a u", "[system]0[user]1[assistant]2\n\n3[user]4", [JOINED]),
    (STRICT, "u s", "[user]0\n\n<1>", [REMINDER, JOINED]),
    (STRICT, "s s s u u", "[system]0\n\n1\n\n2[user]3\n\n4", [HEAD, JOINED]),
    (ALTERNATING, "s u", "[user]0\n\n1", [INTO_USER]),
    (ALTERNATING, "s u u", "[user]0\n\n1\n\n2", [INTO_USER, JOINED]),
    (ALTERNATING, "s s u", "[user]0\n\n1\n\n2", [HEAD, INTO_USER]),
    (ALTERNATING, "u s u", "[user]0\n\n<1>\n\n2", [REMINDER, JOINED]),
    (ALTERNATING, "s u a s u", "[user]0\n\n1[assistant]2[user]<3>\n\n4", [REMINDER, INTO_USER, JOINED]),
    (ALTERNATING, "s a u", "[user]0[assistant]1[user]2", [INTO_USER]),
    (ALTERNATING, "s", "[user]0", [INTO_USER]),
    (NO_SYSTEM, "s u u", "[user]0\n\n1[user]2", [INTO_USER]),
    (NO_SYSTEM, "u s u", "[user]0[user]<1>[user]2", [REMINDER]),
    (NO_SYSTEM, "s s u", "[user]0\n\n1\n\n2", [HEAD, INTO_USER]),
    (ONE_SYSTEM, "s s u", "[system]0\n\n1[user]2", [HEAD]),
    (ONE_SYSTEM, "u s u", "[user]0[user]<1>[user]2", [REMINDER]),
    (ONE_SYSTEM, "s u s u", "[system]0[user]1[user]<2>[user]3", [REMINDER]),
    (STRICT, "s u a u", "[system]0[user]1[assistant]2[user]3", []),
    (NO_SYSTEM, "u u", "[user]0[user]1", []),
]


def turns(roles: str) -> ChatRequest:
    names: dict[str, Role] = {"s": "system", "u": "user", "a": "assistant"}
    messages = (Message(role=names[role], content=str(index)) for index, role in enumerate(roles.split()))
    return ChatRequest(tuple(messages))


@pytest.mark.parametrize(("template", "roles", "expected", "repairs"), REFUSED)
def test_a_strict_template_gets_a_conversation_that_it_accepts(
    template: str, roles: str, expected: str, repairs: list[str]
) -> None:
    rendered = render(turns(roles), text_model(template))
    assert rendered.text == _reminded(expected)
    assert len(rendered.warnings) == len(repairs)
    assert all(words in warning for words, warning in zip(repairs, rendered.warnings, strict=True))


def _reminded(text: str) -> str:
    for number in "0123456789":
        text = text.replace(f"<{number}>", f"<system-reminder>\n{number}\n</system-reminder>")
    return text


def test_a_conversation_that_no_repair_helps_is_refused_with_the_first_reason() -> None:
    model = text_model("{{ raise_exception('never on a ' ~ messages[0].role) }}")
    with pytest.raises(InvalidRequestError, match="never on a system"):
        render(turns("s u"), model)


@pytest.mark.parametrize("template", [STRICT, ALTERNATING, NO_SYSTEM, ONE_SYSTEM])
def test_a_repaired_conversation_grows_at_its_end_only(template: str) -> None:
    model = text_model(template)
    earlier, later = (render(turns(roles), model).tokens for roles in ("s s u a s u", "s s u a s u a u"))
    assert later[: len(earlier)] == earlier


def test_a_template_that_takes_arguments_as_text_gets_them_so() -> None:
    template = CALLING.replace(
        "{% for name, value in call.function.arguments | items %}<{{ name }}>{{ value }}</{{ name }}>{% endfor %}",
        "{{ 'arguments: ' + call.function.arguments }}",
    )
    rendered = render(agent(), text_model(template))
    assert 'arguments: {"city": "Oslo"}' in rendered.text
    assert rendered.warnings == ()


def test_results_that_a_template_refuses_without_their_call_are_written_as_text() -> None:
    template = CALLING.replace(
        "{% for m in messages %}",
        "{% for m in messages %}{% if m.role == 'tool' and not messages[loop.index0 - 1].tool_calls %}"
        "{{ raise_exception('a result without its call') }}{% endif %}",
    )
    messages = (*prompt("Go."), Message(role="assistant", content="f({"), Message(role="tool", content="bad arguments"))
    rendered = render(ChatRequest(messages), text_model(template))
    assert "<tool_response>\nbad arguments\n</tool_response>" in rendered.text
    assert "written as text" in rendered.warnings[0]


WEATHER = ToolSpec(name="weather", description="Tells the weather.", parameters={"type": "object"})


def agent(tools: Sequence[ToolSpec] = (), results: int = 1, system: str = "Be brief.") -> ChatRequest:
    """A conversation in which tools were called."""
    calls = [ToolCall(name="weather", arguments={"city": "Oslo"}, id=f"call{at:05}") for at in range(results)]
    told = (Message(role="tool", content=f"Rain {at}", tool_call_id=call.id) for at, call in enumerate(calls))
    asked = (*prompt("How is Oslo?", system or None), Message(role="assistant", content="I look.", tool_calls=calls))
    return ChatRequest((*asked, *told), tools=tuple(tools))


@pytest.mark.parametrize("template", [CHATML, GLM, ALTERNATING, STRICT], ids=["chatml", "glm", "alternating", "strict"])
@pytest.mark.parametrize("system", ["Be brief.", ""])
def test_tools_are_written_into_the_system_turn_of_a_template_that_knows_none(template: str, system: str) -> None:
    model = text_model(template)
    rendered = render(agent([WEATHER], 2, system), model)
    text = model.control.plain(rendered.text)
    assert json.dumps(WEATHER.openai()) in text.partition("<tools>")[2].partition("</tools>")[0]
    assert text.count('<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>') == 2
    assert "<tool_response>\nRain 0\n</tool_response>\n<tool_response>\nRain 1\n</tool_response>" in text
    assert text.index("Be brief." if system else "# Tools") <= text.index("# Tools") < text.index("How is Oslo?")
    assert any("knows no tools" in warning for warning in rendered.warnings)


def test_calls_in_the_form_that_was_asked_for_are_read_again() -> None:
    text = render(agent([WEATHER]), text_model(CHATML)).text
    written = text[text.rindex("<tool_call>") :].partition("<|im_end|>")[0]
    parsed = parse(written, think_prefilled=False, tools=[WEATHER.openai()])
    assert [(call.name, call.arguments) for call in parsed.tool_calls] == [("weather", {"city": "Oslo"})]


@pytest.mark.parametrize("template", [CALLING])
def test_a_template_with_tools_gets_them_as_they_are(template: str) -> None:
    model, request = text_model(template), agent([WEATHER])
    rendered = render(request, model)
    assert rendered.warnings == ()
    assert "<tool_call>" not in rendered.text
    assert "<function=weather><city>Oslo</city></function>" in rendered.text


def test_calls_of_earlier_turns_are_written_where_only_they_would_be_left_out() -> None:
    template = CALLING[: CALLING.index("{% for call")] + CALLING[CALLING.index("<|im_end|>\n{% endfor %}{% if add") :]
    rendered = render(agent([WEATHER]), text_model(template))
    assert "<function" not in rendered.text
    assert '<tool_call>\n{"name": "weather"' in rendered.text
    assert "# Tools" not in rendered.text
    assert len(rendered.warnings) == 1
    assert "writes no earlier tool calls" in rendered.warnings[0]


def test_a_conversation_without_tools_is_left_alone() -> None:
    rendered = render(turns("s u a u"), text_model(CHATML))
    assert rendered.warnings == ()
    assert "# Tools" not in rendered.text


def test_tools_are_refused_where_the_setting_says_so() -> None:
    model = replace(text_model(CHATML), refuse_tools=True)
    with pytest.raises(InvalidRequestError, match="tools_without_template"):
        render(agent([WEATHER]), model)
    # Turns of the past can't be taken back.
    assert "<tool_call>" in render(agent(), model).text
    known: TextModel = replace(text_model(CALLING), refuse_tools=True)
    assert render(agent([WEATHER]), known).warnings == ()


async def test_the_warning_reaches_the_result_and_the_setting_the_engine(tiny: ModelInfo, tmp_path: Any) -> None:
    model = other_template(tmp_path, "{%- if tools -%}", "{%- if false -%}")
    request = replace(agent([WEATHER]), sampling=SamplingParams(max_tokens=1))
    async with engine_of(model) as engine:
        assert any("knows no tools" in warning for warning in (await answer(engine, request)).warnings)
    async with engine_of(model, EngineLimits(refuse_tools=True)) as engine:
        with pytest.raises(InvalidRequestError, match="tools_without_template"):
            await answer(engine, request)
