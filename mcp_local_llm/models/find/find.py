"""All roots → all models, each id once."""

from collections.abc import Collection, Iterator
from importlib.util import find_spec
from pathlib import Path

from mcp_local_llm.models.find.cache import FolderCache
from mcp_local_llm.models.find.files import children
from mcp_local_llm.models.find.folder import Place, describe_folder, looks_like_model
from mcp_local_llm.models.find.gguf import gguf_models
from mcp_local_llm.models.find.roots import ModelRoots, places
from mcp_local_llm.values.model import ModelInfo


def find_models(
    roots: ModelRoots, *, architectures: Collection[str] | None = None, cache: FolderCache | None = None
) -> tuple[ModelInfo, ...]:
    """Describe every model below the roots, sound or not, in the order of the roots.

    Where two roots hold the same id, a sound model wins over a broken one, then the earlier root. Nothing is raised
    for what lies in the folders: a folder that cannot be read holds no model, a broken model has `problems`.

    Args:
        roots: where to look.
        architectures: every `model_type` that the engine runs; None asks the installed mlx-lm.
        cache: holds what was found before; folders that look the same are not read again.
    """
    known = native_architectures() if architectures is None else architectures
    cache = cache or FolderCache()
    models: dict[str, ModelInfo] = {}
    all_places = list(places(roots))
    for place in all_places:
        for model in _models_of(place, known, cache):
            earlier = models.get(model.id)
            if earlier is None or (model.usable and not earlier.usable):
                models[model.id] = model
    cache.keep({place.path for place in all_places})
    return tuple(models.values())


def _models_of(place: Place, architectures: Collection[str] | None, cache: FolderCache) -> tuple[ModelInfo, ...]:
    names = [path.name for path in children(place.path)]
    if not place.unfinished and not looks_like_model(names) and not any(_is_gguf(name) for name in names):
        return ()  # No need to ask for the stamps of a folder full of other things.
    return cache.models(place.path, (place, architectures), lambda: tuple(_describe(place, architectures)))


def _describe(place: Place, architectures: Collection[str] | None) -> Iterator[ModelInfo]:
    """Describe what lies in one place: a model, GGUF files, both, or nothing."""
    paths = children(place.path)
    files = [path for path in paths if _is_gguf(path.name)]
    yield from gguf_models(files, f"{place.id}/" if place.id else "", place.source)
    if looks_like_model(path.name for path in paths) or (place.unfinished and not files):
        yield describe_folder(place, architectures)


def _is_gguf(name: str) -> bool:
    return name.lower().endswith(".gguf")


# mlx_lm/utils.py, MODEL_REMAPPING: names in config.json that another module serves.
_SERVED_BY_ANOTHER = frozenset(
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
    """Return every `model_type` that mlx-lm runs, or None where mlx-lm is not installed."""
    spec = find_spec("mlx_lm")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / "models"
    return frozenset(path.stem for path in folder.glob("*.py")) | _SERVED_BY_ANOTHER
