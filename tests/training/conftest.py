"""The shipped model, loaded once for all tests of this folder."""

from pathlib import Path

import pytest

from training.recall import LoadedModel, load


@pytest.fixture(scope="session")
def tiny_folder() -> Path:
    return Path(__file__).parents[2] / "mcp_local_llm" / "tiny"


@pytest.fixture(scope="session")
def loaded_tiny(tiny_folder: Path) -> LoadedModel:
    return load(tiny_folder)
