"""Bad input, drawn by Hypothesis and the same in every run, and what must not be in an answer to it."""

import json
import re
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

ODD_TEXTS = (
    "",
    " ",
    "\0",
    "\ufeff",
    "\ud83d",
    "\udc00\ud800",
    "\u202e",
    "a\u2028b",
    "-1",
    "NaN",
    "null",
    "[]",
    '{"a": 1}',
    "../../../etc/passwd",
    "/dev/zero",
    "~root",
    "{message}",
    "{{7*7}}",
    "%s%n",
    "$(id)",
    "x" * 5000,
    "é" * 300,
)
"""Texts at which programs stumble."""
ODD_NUMBERS = (0, -1, 1, 2**31, 2**63, -(2**64), 10**400, 1.5, -0.0, 1e308, 5e-324)
DEEP = 400
"""Levels of lists that a parser may not follow."""

TEXTS = st.one_of(st.sampled_from(ODD_TEXTS), st.text(st.characters(codec=None), max_size=30))
LEAVES = st.one_of(
    st.none(), st.booleans(), st.sampled_from(ODD_NUMBERS), st.integers(), st.floats(allow_nan=False), TEXTS
)
VALUES: SearchStrategy[Any] = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=8
)
"""Any JSON."""


def nested(levels: int = DEEP) -> Any:
    """A list in a list in a list."""
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def drawing(count: int) -> settings:
    """Settings of so many examples, the same ones in every run."""
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


def drawn(strategy: SearchStrategy[Any], count: int) -> list[Any]:
    """Draw so many examples, for a test that tries them all in one process."""
    found: list[Any] = []

    @drawing(count)
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


def as_json(value: Any) -> str:
    """Write JSON in ASCII, halves of surrogate pairs as escapes."""
    return json.dumps(value)


LEAKS = re.compile(
    r"Traceback|File \"|site-packages|errors\.pydantic\.dev|\bValueError\b|\bTypeError\b|\bKeyError\b|RecursionError|"
    r"UnicodeEncodeError|AttributeError|AssertionError|\bits log says why"
)
"""What belongs into a log, or nowhere: traces and names of Python's own errors, and errors that nobody foresaw."""
LONGEST = 3000
"""Characters of an error."""


def fault_of_error(message: str) -> str:
    """What is wrong with the text of an error for a user; empty for a sentence that can be acted on."""
    if leak := LEAKS.search(message):
        return f"{leak[0]!r} in {message[:300]!r}"
    if len(message) > LONGEST:
        return f"{len(message)} characters: {message[:300]!r}"
    if not re.match(r"\S", message) or not message.rstrip().endswith((".", "?", "!", ")", "`", ">", '"')):
        return f"no sentence: {message[:300]!r}"
    return ""
