"""The chat template, line by line."""

from typing import Any

import pytest

from training.dialogues import WEATHER, assistant, system, tool, user
from training.recall import LoadedModel

OPEN, CLOSE = "<|im_start|>", "<|im_end|>\n"
ASKED = f"{OPEN}user\nHello{CLOSE}"
ANSWER_HERE = f"{OPEN}assistant\n"


def render(
    loaded_tiny: LoadedModel,
    *messages: dict[str, Any],
    tools: list[dict[str, Any]] | None = None,
    thinking: bool | None = None,
) -> str:
    switches = {} if thinking is None else {"enable_thinking": thinking}
    return loaded_tiny.chat.apply_chat_template(
        messages, tools=tools, add_generation_prompt=True, tokenize=False, **switches
    )


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        (None, ASKED + ANSWER_HERE),
        (True, ASKED + ANSWER_HERE),
        (False, f"{ASKED}{ANSWER_HERE}<think>\n\n</think>\n\n"),
    ],
)
def test_thinking_is_on_unless_it_is_switched_off(loaded_tiny: LoadedModel, thinking: bool | None, expected: str):
    assert render(loaded_tiny, user("Hello"), thinking=thinking) == expected


def test_system_prompt_and_tools_share_the_first_turn(loaded_tiny: LoadedModel):
    prompt = render(loaded_tiny, system("Be brief."), user("Hello"), tools=[WEATHER])

    assert prompt == (
        f"{OPEN}system\nBe brief.\n\n# Tools\n\nYou may call these functions:\n<tools>\n"
        '{"type": "function", "function": {"name": "get_weather", '
        '"description": "Get the current weather for a city.", '
        '"parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}\n'
        "</tools>\n\nTo call one, write:\n<tool_call>\n"
        f'{{"name": <function-name>, "arguments": <args-json-object>}}\n</tool_call>{CLOSE}{ASKED}{ANSWER_HERE}'
    )


def test_calls_and_their_results_follow_one_another(loaded_tiny: LoadedModel):
    calls = assistant("", ("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Oslo"}))

    prompt = render(loaded_tiny, user("Hello"), calls, tool("sun"), tool("snow"))

    assert prompt == (
        f"{ASKED}{OPEN}assistant\n"
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>\n'
        f'<tool_call>\n{{"name": "get_weather", "arguments": {{"city": "Oslo"}}}}\n</tool_call>{CLOSE}'
        f"{OPEN}user\n<tool_response>\nsun\n</tool_response>\n<tool_response>\nsnow\n</tool_response>{CLOSE}"
        f"{ANSWER_HERE}"
    )


def test_a_call_may_come_flat_with_its_arguments_as_text(loaded_tiny: LoadedModel):
    calls = {"role": "assistant", "tool_calls": [{"name": "add", "arguments": '{"a": 2}'}]}

    assert '<tool_call>\n{"name": "add", "arguments": {"a": 2}}\n</tool_call>' in render(
        loaded_tiny, user("Hello"), calls
    )


@pytest.mark.parametrize("content", [{}, {"content": None}], ids=["missing", "null"])
@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool"])
def test_a_message_may_lack_its_content(loaded_tiny: LoadedModel, role: str, content: dict[str, None]):
    prompt = render(loaded_tiny, {"role": role, **content}, user("Hello"))

    assert prompt.endswith(ASKED + ANSWER_HERE)
    assert "None" not in prompt


def test_earlier_thoughts_are_left_out_once_the_user_speaks_again(loaded_tiny: LoadedModel):
    prompt = render(loaded_tiny, user("Hello"), assistant("<think>\nA greeting.\n</think>\n\nHi!"), user("Hello"))

    assert prompt == f"{ASKED}{OPEN}assistant\nHi!{CLOSE}{ASKED}{ANSWER_HERE}"


def test_the_thought_before_a_call_is_kept_until_its_result_is_answered(loaded_tiny: LoadedModel):
    call = {**assistant("", ("add", {"a": 2})), "reasoning_content": "Use add."}

    assert f"{OPEN}assistant\n<think>\nUse add.\n</think>\n\n<tool_call>" in render(
        loaded_tiny, user("Hello"), call, tool("2")
    )


def test_tags_that_an_earlier_answer_quotes_are_kept(loaded_tiny: LoadedModel):
    quoting = "Between `<think>` and `</think>`."

    assert f"{OPEN}assistant\n{quoting}{CLOSE}" in render(loaded_tiny, user("Hello"), assistant(quoting), user("Hello"))
    thoughtful = assistant(f"<think>\nTags.\n</think>\n\n{quoting}")
    assert f"{OPEN}assistant\n{quoting}{CLOSE}" in render(loaded_tiny, user("Hello"), thoughtful, user("Hello"))
