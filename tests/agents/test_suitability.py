"""The three lines before a start, and the refusal with its numbers."""

import pytest

from mcp_local_llm.agents.forms import FORMS, SAMPLE_TOKENS, Form, estimated_request, form_of
from mcp_local_llm.agents.order import ModelFacts
from mcp_local_llm.agents.suitability import judge

USUAL = Form("claude", False, 20_000, 5_000)


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        (ModelFacts("m", 65_536, tools=True), "m: its chat template knows tools."),
        (ModelFacts("m", 65_536, tools=False), "m: its chat template knows no tools."),
        (ModelFacts("m", 65_536), "m: its server does not say whether it knows tools"),
    ],
    ids=["tools", "no tools", "unknown"],
)
def test_the_first_line_is_about_tools(facts: ModelFacts, line: str) -> None:
    assert judge(USUAL, facts).lines[0].startswith(line)


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        (
            ModelFacts("m", 65_536),
            "Its window has 65,536 tokens: about 5,000 for Claude Code's first request, 8,192 for an answer, 52,344 "
            "for the work.",
        ),
        (ModelFacts("m", None), "Its window is not known; Claude Code's first request has about 5,000 tokens."),
        (
            ModelFacts("m", 65_536, sample_tokens=2 * SAMPLE_TOKENS),
            "Its window has 65,536 tokens: about 10,000 for Claude Code's first request, 8,192 for an answer, 47,344 "
            "for the work.",
        ),
        (
            ModelFacts("m", 65_536, instruction_tokens=1_500),
            "Its window has 65,536 tokens: about 6,500 for Claude Code's first request (1,500 of them your instruction "
            "files), 8,192 for an answer, 50,844 for the work.",
        ),
    ],
    ids=["known", "unknown", "a tokenizer that needs twice as many", "instruction files"],
)
def test_the_second_line_is_about_the_window(facts: ModelFacts, line: str) -> None:
    assert judge(USUAL, facts).lines[1] == line


@pytest.mark.parametrize(
    ("prefill", "says"),
    [
        (None, "how long that takes was not measured yet"),
        (500.0, "about 10 s at the 500 tokens per second measured here"),
        (5.0, "about 17 min at the 5 tokens per second"),
        (100_000.0, "about 1 s at the 100,000 tokens per second"),
    ],
)
def test_the_third_line_is_about_the_time_of_the_first_turn(prefill: float | None, says: str) -> None:
    assert says in judge(USUAL, ModelFacts("m", 65_536, prefill=prefill)).lines[2]


@pytest.mark.parametrize(
    ("window", "refused"), [(2048, True), (6_856, True), (6_857, False), (65_536, False), (None, False)]
)
def test_a_window_is_refused_that_holds_no_result_of_a_tool(window: int | None, refused: bool) -> None:
    assert bool(judge(USUAL, ModelFacts("m", window)).refusal) is refused


def test_a_refusal_has_the_numbers_and_the_ways_out() -> None:
    usual = form_of("claude", small=False)
    assert usual is not None
    refusal = judge(usual, ModelFacts("m", 6_000)).refusal
    assert "Claude Code cannot work with m: its window has 6,000 tokens" in refusal
    assert (
        "6,350 are needed (4,600 for the first request, 750 for an answer, 1,000 for the result of a tool)" in refusal
    )
    assert "--small" in refusal
    assert "--force" in refusal
    assert "--small" not in judge(usual, ModelFacts("m", 2_000)).refusal


def test_every_agent_has_a_usual_form_and_the_tables_ratios_are_those_of_text() -> None:
    assert {form.agent for form in FORMS if not form.small} == {"claude", "codex", "opencode"}
    assert all(3 < form.request_bytes / form.request_tokens < 6 for form in FORMS)
    assert all(estimated_request(form, None) == form.request_tokens for form in FORMS)
