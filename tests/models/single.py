"""One model in a cache of its own, sound unless a file of it is replaced."""

from pathlib import Path

from mcp_local_llm.models.find import ModelRoots, find_models
from mcp_local_llm.values.model import ModelInfo
from tests.model_cache import (
    QWEN_7B,
    Content,
    Packing,
    model_files,
    place_in_hub,
)

FOUR = Packing(4)


def found(cache: Path, files: dict[str, Content], architectures: frozenset[str] = frozenset({"qwen2"})) -> ModelInfo:
    place_in_hub(cache, "some/model", files)
    (model,) = find_models(ModelRoots(hub_caches=(cache,)), architectures=architectures)
    return model


def without(*names: str) -> dict[str, Content]:
    return {name: content for name, content in model_files(QWEN_7B, FOUR).items() if name not in names}


def config(**entries: object) -> dict[str, Content]:
    return without() | {"config.json": {**QWEN_7B.config(), **FOUR.config(), **entries}}
