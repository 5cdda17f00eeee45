"""All roots → all models, each id once."""

from collections.abc import Collection, Iterator

from mcp_local_llm.discovery.architectures import native_architectures
from mcp_local_llm.discovery.files import children
from mcp_local_llm.discovery.folder import Place, describe_folder, is_model_folder
from mcp_local_llm.discovery.gguf import gguf_models
from mcp_local_llm.discovery.roots import ModelRoots, places
from mcp_local_llm.model import ModelInfo


def find_models(roots: ModelRoots, *, architectures: Collection[str] | None = None) -> tuple[ModelInfo, ...]:
    """Describe every model below the roots, sound or not, in the order of the roots.

    Where two roots hold the same id, a sound model wins over a broken one, then the earlier root. Nothing is raised
    for what lies in the folders: a folder that cannot be read holds no model, a broken model has `problems`.

    Args:
        roots: where to look.
        architectures: every `model_type` that the engine runs; None asks the installed mlx-lm.
    """
    known = native_architectures() if architectures is None else architectures
    models: dict[str, ModelInfo] = {}
    for place in places(roots):
        for model in _describe(place, known):
            earlier = models.get(model.id)
            if earlier is None or (model.usable and not earlier.usable):
                models[model.id] = model
    return tuple(models.values())


def _describe(place: Place, architectures: Collection[str] | None) -> Iterator[ModelInfo]:
    """Describe what lies in one place: a model, GGUF files, both, or nothing."""
    files = [path for path in children(place.path) if path.suffix.lower() == ".gguf"]
    yield from gguf_models(files, f"{place.id}/" if place.id else "", place.source)
    if is_model_folder(place.path) or (place.unfinished and not files):
        yield describe_folder(place, architectures)
