"""Every case of the corpus, whole and cut off."""

from typing import Any

import pytest

from mcp_local_llm.parsing import parse
from tests.parsing.corpus import ALL, RAW, Case, mismatches, parsed, prefixes, same_json, triple
from tests.sweep import sampled

# There the end of the text is itself the evidence for a call, so a cut may well create one.
NO_PREFIX_FAMILIES = {"qwen25_coder", "llama3", "think_tools", "http_backend"}
CUT = [
    case
    for case in RAW
    if case["tools"] and case["family"] not in NO_PREFIX_FAMILIES and not {"promote", "no_prefix"} & set(case["tags"])
]


def name(case: Case) -> str:
    return case["id"]


@pytest.mark.parametrize("case", ALL, ids=name)
def test_an_answer_is_taken_apart_as_the_rules_say(case: Case) -> None:
    assert mismatches(case, parsed(case)) == {}


@pytest.mark.parametrize("case", sampled(CUT), ids=name)
def test_a_cut_never_creates_a_call_or_shortens_one(case: Case) -> None:
    known: list[dict[str, Any]] = [*triple(parsed(case))[2], *case["expect"]["tool_calls"]]
    for prefix in prefixes(case["raw"]):
        result = parse(prefix, think_prefilled=case["think_prefilled"], tools=case["tools"])
        for call in triple(result)[2]:
            assert any(same_json(call, other) for other in known), prefix


@pytest.mark.parametrize("case", [case for case in RAW if not case["tools"]], ids=name)
def test_without_tools_nothing_is_a_call(case: Case) -> None:
    assert parse(case["raw"], think_prefilled=case["think_prefilled"], tools=[]).tool_calls == ()
