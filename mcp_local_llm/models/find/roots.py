"""The folders in which each tool keeps models, and the locations of models inside them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp_local_llm.models.find.files import children, folders
from mcp_local_llm.models.find.folder import ModelLocation, is_model_folder
from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.values.model import ModelSource

BUILTIN_FOLDER = Path(__file__).parents[2] / "tiny"
"""The model that is part of this package, for diagnosis and tests."""

MAX_REVISION_BYTES = 4096
"""The most bytes of a file that names a revision."""


@dataclass(frozen=True)
class ModelRoots:
    """Folders that are searched for models; missing folders are ignored.

    Attributes:
        hub_caches: Hugging Face caches, with a `models--publisher--name` folder for each repository.
        lmstudio: LM Studio's folders, `publisher/model` inside.
        extra: folders of the settings, each with models, with `publisher/model` folders, or itself a model.
        builtin: the folder of the built-in model; None to leave it out.
    """

    hub_caches: tuple[Path, ...] = ()
    lmstudio: tuple[Path, ...] = ()
    extra: tuple[Path, ...] = ()
    builtin: Path | None = None


def default_roots(environ: Mapping[str, str], home: Path, extra: Iterable[Path] = ()) -> ModelRoots:
    """Return the folders that the tools on this machine use.

    The hub's cache is where huggingface_hub has it: HF_HUB_CACHE (or the older HUGGINGFACE_HUB_CACHE), else
    HF_HOME/hub, else XDG_CACHE_HOME/huggingface/hub. The default folder is searched as well, since a variable of a
    shell is often not set for an application that downloads.

    Args:
        environ: the process's environment.
        home: the user's home folder.
        extra: folders of the settings; `~` stands for `home`.
    """

    def expand(text: str) -> Path:
        return home / text[2:] if text.startswith("~/") else Path(text)

    default = home / ".cache" / "huggingface" / "hub"
    if named := environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE"):
        cache = expand(named)
    elif named := environ.get("HF_HOME"):
        cache = expand(named) / "hub"
    elif named := environ.get("XDG_CACHE_HOME"):
        cache = expand(named) / "huggingface" / "hub"
    else:
        cache = default
    return ModelRoots(
        hub_caches=tuple(dict.fromkeys((cache, default))),
        lmstudio=(home / ".lmstudio" / "models", home / ".cache" / "lm-studio" / "models"),
        extra=tuple(expand(str(folder)) for folder in extra),
        builtin=BUILTIN_FOLDER,
    )


def model_locations(roots: ModelRoots) -> Iterator[ModelLocation]:
    """Return every location of a model, the built-in one last."""
    for cache in roots.hub_caches:
        yield from _hub_locations(cache, "huggingface")
    for folder in roots.lmstudio:
        for publisher in children(folder):
            for path in folders(publisher):
                yield ModelLocation(f"{publisher.name}/{path.name}", path, "lmstudio")
    for folder in roots.extra:
        yield from _extra_locations(folder)
    if roots.builtin:
        yield ModelLocation(roots.builtin.name, roots.builtin, "builtin")


def _hub_locations(cache: Path, source: ModelSource) -> Iterator[ModelLocation]:
    """Return the locations in a hub cache, by its documented layout: refs/, snapshots/ and blobs/ for each repository.

    `huggingface_hub.scan_cache_dir` takes longer to import than this search takes, and does not report partial blobs
    (https://huggingface.co/docs/huggingface_hub/guides/manage-cache).
    """
    for repository in children(cache):
        name = repository.name.removeprefix("models--")
        if name == repository.name:
            continue
        unfinished = sum(path.name.endswith(".incomplete") for path in children(repository / "blobs"))
        snapshot = _snapshot(repository)
        if snapshot or unfinished:
            yield ModelLocation(name.replace("--", "/"), snapshot or repository, source, unfinished)


def _snapshot(repository: Path) -> Path | None:
    """Return the snapshot of `refs/main`, else the newest one."""
    snapshots = folders(repository / "snapshots")
    try:
        main = read_regular(repository / "refs" / "main", MAX_REVISION_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError):
        main = ""
    chosen = [path for path in snapshots if path.name == main]
    return (chosen or sorted(snapshots, key=_modified) or [None])[-1]


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _extra_locations(folder: Path) -> Iterator[ModelLocation]:
    if is_model_folder(folder):
        yield ModelLocation(folder.name, folder, "folder")
        return
    # The ids of GGUF files directly in the folder have no prefix.
    yield ModelLocation("", folder, "folder")
    yield from _hub_locations(folder, "folder")
    for path in folders(folder):
        if path.name.startswith(("models--", "datasets--", "spaces--")):
            continue
        yield ModelLocation(path.name, path, "folder")
        if not is_model_folder(path):
            for inner in folders(path):
                yield ModelLocation(f"{path.name}/{inner.name}", inner, "folder")
