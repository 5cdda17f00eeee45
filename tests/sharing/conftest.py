"""What tests of sharing need: two models, and a runtime folder that is gone afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.model_cache import place_tiny
from tests.sharing.sessions import LARGE, SMALL, remove_runtime


@pytest.fixture
def hub(home: Path) -> Path:
    """A cache with two models that really load."""
    cache = home / ".cache" / "huggingface" / "hub"
    for repository in (SMALL, LARGE):
        place_tiny(cache, repository)
    return cache


@pytest.fixture(autouse=True)
def _clean_runtime(environ: dict[str, str]) -> Iterator[None]:
    yield
    remove_runtime(environ)
