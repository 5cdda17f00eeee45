"""Finds all models below the roots, each id once."""

from collections.abc import Collection, Iterator
from importlib.util import find_spec
from pathlib import Path

from mcp_local_llm.models.find.cache import FolderCache
from mcp_local_llm.models.find.files import children
from mcp_local_llm.models.find.folder import ModelLocation, describe_folder, looks_like_model
from mcp_local_llm.models.find.gguf import gguf_models
from mcp_local_llm.models.find.roots import ModelRoots, model_locations
from mcp_local_llm.values.model import ModelInfo


def find_models(
    roots: ModelRoots, *, architectures: Collection[str] | None = None, cache: FolderCache | None = None
) -> tuple[ModelInfo, ...]:
    """Return every model below the roots, sound or broken, in the order of the roots.

    Of models with the same id, a sound one wins over a broken one, then the earlier root. No content of a folder raises
    an error: an unreadable folder has no model, a broken model has `problems`.

    Args:
        roots: folders to search.
        architectures: every `model_type` that the engine runs; None reads them from the installed mlx-lm.
        cache: of folders; unchanged folders are not read again.
    """
    known = native_architectures() if architectures is None else architectures
    cache = cache or FolderCache()
    models: dict[str, ModelInfo] = {}
    all_locations = list(model_locations(roots))
    for location in all_locations:
        for model in _models_at(location, known, cache):
            earlier = models.get(model.id)
            if earlier is None or (model.usable and not earlier.usable):
                models[model.id] = model
    cache.keep({location.path for location in all_locations})
    return tuple(models.values())


def _models_at(
    location: ModelLocation, architectures: Collection[str] | None, cache: FolderCache
) -> tuple[ModelInfo, ...]:
    names = [path.name for path in children(location.path)]
    if not location.unfinished and not looks_like_model(names) and not any(_is_gguf(name) for name in names):
        return ()  # Without reading the stamps of a folder with other files.
    return cache.models(location.path, (location, architectures), lambda: tuple(_describe(location, architectures)))


def _describe(location: ModelLocation, architectures: Collection[str] | None) -> Iterator[ModelInfo]:
    """Describe the models of one location: of safetensors weights, of GGUF files, or both."""
    paths = children(location.path)
    files = [path for path in paths if _is_gguf(path.name)]
    yield from gguf_models(files, f"{location.id}/" if location.id else "", location.source)
    if looks_like_model(path.name for path in paths) or (location.unfinished and not files):
        yield describe_folder(location, architectures)


def _is_gguf(name: str) -> bool:
    return name.lower().endswith(".gguf")


# mlx_lm/utils.py, MODEL_REMAPPING: names in config.json whose code is in a module of another name.
_REMAPPED = frozenset(
    {
        "deepseek_v41_text",
        "falcon_mamba",
        "gemma4_unified",
        "iquestcoder",
        "joyai_llm_flash",
        "kimi_k2",
        "llava",
        "minimax_m2",
        "mistral",
        "phi-msft",
        "qwen2_5_vl",
        "xverse",
    }
)


def native_architectures() -> frozenset[str] | None:
    """Return every `model_type` that mlx-lm runs; None where mlx-lm is not installed."""
    spec = find_spec("mlx_lm")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / "models"
    return frozenset(path.stem for path in folder.glob("*.py")) | _REMAPPED
