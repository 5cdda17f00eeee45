"""Sweeps: many cases that are alike. `make test` tries a sample of them, `make test-all` every one."""

from collections.abc import Iterable
from typing import Any

import pytest


def sampled(cases: Iterable[Any], every: int) -> list[Any]:
    """Of `every` cases in a row the first as it is, the others marked as a sweep; a tuple is a case of several values."""
    return [case if number % every == 0 else _swept(case) for number, case in enumerate(cases)]


def _swept(case: Any) -> Any:
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=pytest.mark.sweep)
