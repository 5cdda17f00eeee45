"""What is repaired in a payload, and what is never guessed (R18)."""

from typing import Any

import pytest

from mcp_local_llm.parsing.lenient_json import JsonVariant, read_value
from mcp_local_llm.parsing.parsed import PayloadError

REPAIRED: list[tuple[str, Any]] = [
    ('{"a": 1}', {"a": 1}),
    ('{"a": [1, 2.5, -3e2, true, null], "b": {}}', {"a": [1, 2.5, -300.0, True, None], "b": {}}),
    ('{"a": 1,}', {"a": 1}),
    ('{"a": [1, 2,],}', {"a": [1, 2]}),
    ("{'a': 'it\\'s', 'b': None, 'c': True}", {"a": "it's", "b": None, "c": True}),
    ('{a: 1, b_2: "x"}', {"a": 1, "b_2": "x"}),
    ('{"a": "x\ny\tz"}', {"a": "x\ny\tz"}),
    ('{"a": "\\d+ \\u00e9 \\ud83d\\ude00 \\q"}', {"a": "\\d+ é 😀 \\q"}),
    ('{"a": "\\ud83d"}', {"a": "\ufffd"}),
    ('{"a": 1, // note\n "b": /* more */ 2}', {"a": 1, "b": 2}),
    ('{{"a": {{"b": 1}}}}', {"a": {"b": 1}}),
    ('{"a": 12345678901234567890}', {"a": 12345678901234567890}),
]


@pytest.mark.parametrize(("text", "value"), REPAIRED)
def test_common_slips_are_repaired(text: str, value: Any) -> None:
    assert read_value(text, 0) == (value, len(text))


@pytest.mark.parametrize(("text", "_"), REPAIRED)
def test_a_cut_value_is_never_completed(text: str, _: Any) -> None:
    for end in range(len(text)):
        if text[:end].count("{") and text[:end].rstrip("}") != text.rstrip("}"):
            with pytest.raises(PayloadError):
                read_value(text[:end], 0)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "say "hi""}',
        '{"a" 1}',
        '{"a": 1 2}',
        '{"a": word}',
        '{"a": 1e999}',
        '{"a": NaN}',
        "[" * 5000,
        '{"a":' * 5000,
    ],
)
def test_what_would_be_a_guess_is_refused(text: str) -> None:
    with pytest.raises(PayloadError):
        read_value(text, 0)


def test_the_closer_stands_for_two_missing_braces_and_no_more() -> None:
    grammar = JsonVariant(closer="</call>")
    assert read_value('{"a": {"b": 1</call>', 0, grammar)[0] == {"a": {"b": 1}}
    with pytest.raises(PayloadError):
        read_value('{"a": {"b": {"c": 1</call>', 0, grammar)
    with pytest.raises(PayloadError):
        read_value('{"a": ["b"</call>', 0, grammar)
