"""An agent's conversation grows at its end only, whatever the template does with system turns and thoughts."""

from dataclasses import replace
from itertools import pairwise

import pytest

from mcp_local_llm.engines.mlx.prompt.common_prefix import alike
from mcp_local_llm.engines.mlx.prompt.render import render
from mcp_local_llm.engines.mlx.prompt.text_model import TextModel
from mcp_local_llm.values.chat import ChatRequest, Message, ToolCall, ToolSpec
from tests.engines.mlx.templates import (
    CALLING,
    CHATML,
    DEEPSEEK,
    GEMMA,
    GEMMA3,
    GLM,
    HARMONY,
    HERMES,
    LLAMA3,
    MISTRAL,
    PHI,
    QWEN3,
    QWEN35,
    text_model,
)

IN_PLACE = {"chatml": CHATML, "llama3": LLAMA3, "qwen3": QWEN3, "hermes": HERMES, "phi": PHI, "glm": GLM}
"""Templates that write a system turn wherever it stands."""
REMINDED = {"mistral": MISTRAL, "gemma": GEMMA, "gemma3": GEMMA3, "qwen3.5": QWEN35, "deepseek": DEEPSEEK}
"""Templates that refuse a later system turn, drop it, or move it to the front."""
TEMPLATES = {**IN_PLACE, **REMINDED, "calling": CALLING, "harmony": HARMONY}

READ = ToolSpec(name="read_file", description="Reads a file.", parameters={"type": "object"})


def told(role: str, content: str) -> Message:
    return Message.model_validate({"role": role, "content": content})


def called(content: str, *ids: str, reasoning: str = "") -> list[Message]:
    """A turn with calls, and their results."""
    calls = [ToolCall(name="read_file", arguments={"path": f"{id}.py", "limit": 3}, id=id) for id in ids]
    asked = Message(role="assistant", content=content, tool_calls=calls, reasoning=reasoning)
    return [asked, *(Message(role="tool", content=f"result of {id}", tool_call_id=id) for id in ids)]


SESSION = [
    [told("system", "general rules"), told("system", "rules of the project"), told("user", "first question")],
    [told("system", "state of the folder")],
    called("I look.", "toolu_01AbC", reasoning="a thought about files"),
    called("", "toolu_02", reasoning="a thought without words"),
    [Message(role="assistant", content="first answer", reasoning="a thought at the end")],
    [told("user", "second question"), told("system", "state of the agents")],
    called("Again.", "call_03"),
    [told("user", "an interruption")],
    [told("assistant", "second answer"), told("user", "last question")],
]
"""A session of an agent, in the parts by which it grows."""
PROMPTS = (2, 3, 4, 6, 7, 8, 9)
"""How many parts there are when a prompt is sent."""


def sent(model: TextModel, parts: int, session: list[list[Message]] = SESSION) -> ChatRequest:
    messages = tuple(message for part in session[:parts] for message in part)
    return ChatRequest(messages, tools=(READ,))


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_each_prompt_of_a_session_begins_with_the_one_before_it(template: str) -> None:
    model = text_model(template)
    prompts = [render(sent(model, parts), model).tokens for parts in PROMPTS]
    for before, after in pairwise(prompts):
        opening = len(before) - alike(before, after)
        # The opening of an answer may be written in another way once there is an answer.
        assert opening <= len(model.encode("<|start_header_id|>assistant<|end_header_id|>\n\n<think>\n\n</think>\n\n"))


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_every_text_of_a_session_stands_where_it_was_said(template: str) -> None:
    model = text_model(template)
    rest = model.control.plain(render(sent(model, len(SESSION)), model).text)
    for message in (message for part in SESSION for message in part):
        if message.content and not (message.tool_calls and template in (HERMES, HARMONY, LLAMA3, MISTRAL)):
            assert message.content in rest, message.content
            rest = rest.partition(message.content)[2]


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_a_later_system_turn_is_a_turn_of_its_own_or_a_reminder(template: str) -> None:
    model = text_model(template)
    rendered = render(sent(model, len(SESSION)), model)
    text, reminded = rendered.text, template in REMINDED.values()
    for words in ("state of the folder", "state of the agents"):
        assert (f"<system-reminder>\n{words}\n</system-reminder>" in text) == reminded
    assert any("<system-reminder>" in warning for warning in rendered.warnings) == reminded


@pytest.mark.parametrize(
    "template", [MISTRAL, GEMMA3, QWEN35, DEEPSEEK], ids=["mistral", "gemma3", "qwen3.5", "deepseek"]
)
def test_system_turns_in_front_are_joined_where_the_template_has_one(template: str) -> None:
    model = text_model(template)
    text = render(replace(sent(model, 2), tools=()), model).text
    assert "general rules\n\nrules of the project" in text


def test_ids_of_nine_letters_are_made_for_a_template_that_wants_them() -> None:
    model = text_model(MISTRAL)
    rendered = render(sent(model, 4), model)
    assert '[TOOL_CALLS]read_file[ARGS]{"path": "toolu_01AbC.py", "limit": 3}' in rendered.text
    assert not any("written as text" in warning for warning in rendered.warnings)


@pytest.mark.parametrize("template", [QWEN3, QWEN35], ids=["qwen3", "qwen3.5"])
def test_thoughts_of_calls_stay_and_thoughts_of_final_answers_are_never_written(template: str) -> None:
    model = text_model(template)
    for parts in PROMPTS[2:]:
        text = render(sent(model, parts), model).text
        assert "<think>\na thought about files\n</think>\n\nI look.\n<tool_call>" in text
        assert "<think>\na thought without words\n</think>\n\n<tool_call>" in text
        assert "a thought at the end" not in text


def test_what_the_template_itself_writes_while_results_come_in_is_written() -> None:
    """The form of a thought is the template's own."""
    model = text_model(QWEN3)
    loop = sent(model, 4)
    keeping = replace(model, traits=replace(model.traits, keeps_thoughts=True))
    assert render(loop, model).text == render(loop, keeping).text


def test_a_template_that_keeps_all_thoughts_gets_all() -> None:
    model = text_model(
        CHATML.replace(
            "{{ m.content }}",
            "{{ '<think>' + m.reasoning_content + '</think>' if m.reasoning_content else '' }}{{ m.content }}",
        )
    )
    text = render(sent(model, len(SESSION)), model).text
    assert "<think>a thought about files</think>" in text
    assert "<think>a thought at the end</think>first answer" in text


@pytest.mark.parametrize("thinking", [True, False, None])
def test_the_past_of_a_thinking_model_stays_whether_it_may_think_or_not(thinking: bool | None) -> None:
    model = text_model(QWEN3)
    prompts = [render(replace(sent(model, parts), thinking=thinking), model) for parts in PROMPTS]
    for before, after in pairwise(prompts):
        body = before.text[: before.text.rindex("<|im_start|>assistant")]
        assert after.text.startswith(body)


def test_a_control_token_in_a_thought_is_text() -> None:
    model = text_model(QWEN3)
    session = [[told("user", "q")], called("", "toolu_1", reasoning="it says <|im_end|> here")]
    rendered = render(sent(model, 2, session), model)
    end = model.encode("<|im_end|>")
    assert len(end) == 1
    assert rendered.tokens.count(end[0]) == 4
