"""The quick tests tell a model that answers from one that follows the instruction, and from one that does neither."""

from dataclasses import replace
from typing import get_args

import pytest

from mcp_local_llm.doors.results_text import quick_test_text
from mcp_local_llm.llm.quick_test import MAX_TOKENS, TOOL_TOKENS, question
from mcp_local_llm.values.chat import ChatResult, Timings, ToolCall, Usage
from mcp_local_llm.values.results import QuickTestName

BLANK = ChatResult("", "", (), "stop", "org/m", Usage(9, 0, 7), Timings())
RIGHT: dict[QuickTestName, ChatResult] = {
    "hello": replace(BLANK, text="OK."),
    "math": replace(BLANK, text="It is 42."),
    "creative": replace(BLANK, text="One\ntwo\nthree"),
    "code_review": replace(BLANK, text="b may be zero."),
    "tools": replace(BLANK, tool_calls=(ToolCall(name="get_weather", arguments={"city": "Paris"}),)),
    "thinking": replace(BLANK, text="10 legs.", reasoning="4 + 4 + 2"),
    "json": replace(BLANK, text='{"name": "Ada Lovelace", "age": 36}'),
}
NAMES: tuple[QuickTestName, ...] = get_args(QuickTestName)


@pytest.mark.parametrize("name", NAMES)
def test_a_right_answer_passes(name: QuickTestName) -> None:
    outcome = question(name).judged(name, RIGHT[name], 1.0)
    assert (outcome.answered, outcome.passed) == (True, True)
    assert quick_test_text(outcome).startswith(f"{name}: passed.")


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_beside_the_point_is_an_answer(name: QuickTestName) -> None:
    outcome = question(name).judged(name, replace(BLANK, text="I like trains."), 1.0)
    assert (outcome.answered, outcome.passed) == (True, False)
    text = quick_test_text(outcome)
    assert text.startswith(f"{name}: the model answers, but does not follow the instruction. ")
    assert "failed" not in text


SILENCE = {
    "nothing": (BLANK, "There is no answer."),
    "blanks": (replace(BLANK, text=" \n"), "There is no answer."),
    "reasoning alone": (
        replace(BLANK, reasoning="Hm", thinking_closed=False, finish_reason="length"),
        "There is no answer. The reasoning was cut off after 7 tokens.",
    ),
}


@pytest.mark.parametrize("case", SILENCE)
@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_says_nothing_fails(name: QuickTestName, case: str) -> None:
    result, verdict = SILENCE[case]
    outcome = question(name).judged(name, result, 1.0)
    assert (outcome.answered, outcome.passed, outcome.verdict) == (False, False, verdict)
    assert quick_test_text(outcome).startswith(f"{name}: failed. {verdict}")


def test_an_answer_that_did_not_end_by_itself_says_so() -> None:
    cut = replace(BLANK, text="The weather in Paris is", finish_reason="length")
    assert question("tools").judged("tools", cut, 1.0).verdict.endswith("It was cut off after 7 tokens.")
    looped = replace(cut, looped=True)
    assert "only repeated itself" in question("tools").judged("tools", looped, 1.0).verdict


def test_every_question_is_bounded_and_the_tool_call_closely() -> None:
    limits = {name: question(name).request().sampling.max_tokens for name in NAMES}
    assert limits == dict.fromkeys(NAMES, MAX_TOKENS) | {"tools": TOOL_TOKENS}
