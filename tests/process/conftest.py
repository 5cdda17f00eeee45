"""What tests of the process share: a hub cache with models that really load."""

from pathlib import Path

import pytest

from tests.model_cache import place_tiny

SMALL, LARGE, MIXED = (
    "mlx-community/Qwen2.5-Coder-7B-Instruct-4bit",
    "mlx-community/Qwen2.5-Coder-32B-Instruct-4bit",
    "mlx-community/Qwen3-30B-A3B-4bit",
)


@pytest.fixture
def hub(home: Path) -> Path:
    """A cache with three models; each is a copy of the built-in one. In the list, LARGE is 1, SMALL 2, MIXED 3."""
    cache = home / ".cache" / "huggingface" / "hub"
    for repository in (SMALL, LARGE, MIXED):
        place_tiny(cache, repository)
    return cache


@pytest.fixture
def choice(home: Path) -> Path:
    """The file that holds the choice."""
    return home / ".config" / "mlx-mcp" / "active_model"
