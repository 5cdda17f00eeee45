"""Finds all models below the roots, each id once."""

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from mcp_local_llm.models.find.cache import FolderCache, Search
from mcp_local_llm.models.find.files import children, folders
from mcp_local_llm.models.find.folder import ModelLocation, describe_folder, looks_like_model
from mcp_local_llm.models.find.gguf import gguf_models
from mcp_local_llm.models.find.loadable import native_architectures
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
    if (unchanged := cache.found((roots, known))) is not None:
        return unchanged
    search = cache.search()

    def listed(folder: Path) -> list[Path]:
        search.look_at(folder)
        if folder.name == "snapshots":
            # The revision of a repository is in a file.
            search.look_at(folder.parent / "refs" / "main")
        found = children(folder)
        for path in found:
            if path.is_symlink():
                search.look_at(path)  # It may lead to a disk that comes and goes.
        return found

    models: dict[str, ModelInfo] = {}
    all_locations = list(model_locations(roots, listed))
    for location in all_locations:
        search.look_at(location.path)
        for model in _models_at(location, known, cache, search):
            earlier = models.get(model.id)
            if earlier is None or (model.usable and not earlier.usable):
                models[model.id] = model
    found = tuple(models.values())
    cache.keep((roots, known), {location.path for location in all_locations}, search, found)
    return found


def _models_at(
    location: ModelLocation, architectures: Collection[str] | None, cache: FolderCache, search: Search
) -> tuple[ModelInfo, ...]:
    paths = children(location.path)
    inner = [path for path in paths if location.nested and os.path.isdir(path)]
    if not location.unfinished and not inner and not any(_is_gguf(path) for path in paths) and not _has_model(paths):
        return ()  # Without reading the stamps of a folder with other files.
    search.look_into(location.path)
    key = (location, architectures)
    return cache.models(location.path, key, lambda: tuple(_describe(location, architectures)))


def _describe(location: ModelLocation, architectures: Collection[str] | None) -> Iterator[ModelInfo]:
    """Describe the models of one location: of safetensors weights, of GGUF files, or both."""
    paths = children(location.path)
    prefix = f"{location.id}/" if location.id else ""
    found = gguf_models([path for path in paths if _is_gguf(path)], prefix, location.source)
    for folder in folders(location.path) if location.nested else ():
        files = [path for path in children(folder) if _is_gguf(path)]
        found += gguf_models(files, f"{prefix}{folder.name}/", location.source)
    yield from found
    # Repositories of GGUF files have the config.json of the original model as well.
    if _has_model(paths, config=not found) or (location.unfinished and not found):
        yield describe_folder(location, architectures)


def _has_model(paths: Iterable[Path], *, config: bool = True) -> bool:
    return looks_like_model(path.name for path in paths if config or path.name != "config.json")


def _is_gguf(path: Path) -> bool:
    return path.name.lower().endswith(".gguf")
