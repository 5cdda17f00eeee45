"""What was dropped, cut off or not understood is said."""

from typing import Any

import pytest

from mcp_local_llm.parsing import parse, parse_message

TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
]
CALL = '<tool_call>{"name": "f", "arguments": {}}</tool_call>'


@pytest.mark.parametrize(
    ("raw", "prefilled", "word"),
    [
        ('<tool_call>{"name": "f", "argu', False, "cut off"),
        ('<tool_call>{"name": 1 2}</tool_call>', False, "could not be read"),
        (f"{CALL}\n<tool_response>\n11\n</tool_response>", False, "invented"),
        ("still thinking", True, "never closed"),
        ("<|channel|>commentary to=functions.f<|message|>{broken}<|call|>", False, "could not be read"),
    ],
)
def test_a_sentence_says_what_is_missing(raw: str, prefilled: bool, word: str) -> None:
    (warning,) = parse(raw, think_prefilled=prefilled, tools=TOOLS).warnings
    assert word in warning
    assert warning.endswith(".")


@pytest.mark.parametrize("raw", ["It is 4.", "<think>a</think>b", CALL, f"<think>a</think>{CALL}"])
def test_a_clean_answer_has_no_warning(raw: str) -> None:
    result = parse(raw, think_prefilled=False, tools=TOOLS)
    assert result.warnings == ()
    assert result.thinking_closed


def test_a_servers_unreadable_call_is_counted() -> None:
    message = {"content": "", "tool_calls": [{"function": {"name": "f", "arguments": '{"a'}}]}
    (warning,) = parse_message(message, think_prefilled=False, tools=TOOLS).warnings
    assert warning.startswith("1 tool call")


def test_a_call_keeps_the_servers_identifier() -> None:
    message = {"content": "", "tool_calls": [{"id": "call_1", "function": {"name": "f", "arguments": "{}"}}]}
    (call,) = parse_message(message, think_prefilled=False, tools=TOOLS).tool_calls
    assert call.id == "call_1"
