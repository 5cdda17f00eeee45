"""Sweeps: many cases that are alike. `make test` tries a sample of them, `make test-all` every one."""

from collections.abc import Iterable
from typing import Any, cast

import pytest
from hypothesis import settings

PROFILE = "sweep"
"""The profile of Hypothesis under which property tests try all their examples."""
SAMPLE = 5
"""One of so many cases is in the sample."""


def sampled(cases: Iterable[Any], every: int = SAMPLE) -> list[Any]:
    """Of `every` cases in a row the first as it is, the others as a sweep; a tuple is a case of several values."""
    return [case if number % every == 0 else _swept(case) for number, case in enumerate(cases)]


def examples(most: int) -> settings:
    """Settings of a property test with `most` examples in a sweep; they are the same ones in every run."""
    count = most if settings.get_current_profile_name() == PROFILE else most // SAMPLE
    return settings(derandomize=True, deadline=None, database=None, max_examples=count)


def _swept(case: Any) -> Any:
    values = cast(tuple[Any, ...], case) if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=pytest.mark.sweep)
