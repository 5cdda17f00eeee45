"""The twelve models of the fixture cache and the built-in one, built once and found once."""

from pathlib import Path

import pytest

from mcp_local_llm.models.find import ModelRoots, find_models
from mcp_local_llm.values.model import ModelInfo
from tests.model_cache import TINY, build_cache

ARCHITECTURES = frozenset({"gpt_oss", "llama", "qwen2", "qwen3", "qwen3_moe"})


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub")
    build_cache(folder)
    return folder


@pytest.fixture(scope="session")
def models(cache: Path) -> tuple[ModelInfo, ...]:
    return find_models(ModelRoots(hub_caches=(cache,), builtin=TINY), architectures=ARCHITECTURES)
