"""Where models lie: the folders that each tool uses, and the way to a model inside them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp_local_llm.models.find.files import children, folders
from mcp_local_llm.models.find.folder import Place, is_model_folder
from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.values.model import ModelSource

BUILTIN_FOLDER = Path(__file__).parents[2] / "tiny"
"""The model that is shipped with this package, for diagnosis and tests."""

MAX_REVISION_BYTES = 4096
"""A longer file names no revision."""


@dataclass(frozen=True)
class ModelRoots:
    """Folders in which models are looked for; one that does not exist holds none.

    Attributes:
        hub_caches: Hugging Face caches, with a `models--publisher--name` folder for each repository.
        lmstudio: LM Studio's folders, `publisher/model` inside.
        extra: folders from the settings: models inside, or `publisher/model`, or one model itself.
        builtin: the folder of the built-in model, None to leave it out.
    """

    hub_caches: tuple[Path, ...] = ()
    lmstudio: tuple[Path, ...] = ()
    extra: tuple[Path, ...] = ()
    builtin: Path | None = None


def default_roots(environ: Mapping[str, str], home: Path, extra: Iterable[Path] = ()) -> ModelRoots:
    """Return the folders that the tools on this machine use.

    The hub's cache is where huggingface_hub puts it: HF_HUB_CACHE (or the older HUGGINGFACE_HUB_CACHE), else
    HF_HOME/hub, else XDG_CACHE_HOME/huggingface/hub. The default place is read as well, since a variable that is
    set in a shell is often not set for an application that downloaded before.

    Args:
        environ: the process's environment.
        home: the user's home folder.
        extra: folders from the settings; `~` stands for `home`.
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


def places(roots: ModelRoots) -> Iterator[Place]:
    """Name every place where a model may lie, the built-in one last."""
    for cache in roots.hub_caches:
        yield from _hub_places(cache, "huggingface")
    for folder in roots.lmstudio:
        for publisher in children(folder):
            for path in folders(publisher):
                yield Place(f"{publisher.name}/{path.name}", path, "lmstudio")
    for folder in roots.extra:
        yield from _extra_places(folder)
    if roots.builtin:
        yield Place(roots.builtin.name, roots.builtin, "builtin")


def _hub_places(cache: Path, source: ModelSource) -> Iterator[Place]:
    """Walk a hub cache by its documented layout: refs/, snapshots/ and blobs/ for each repository.

    `huggingface_hub.scan_cache_dir` would do, but its import takes longer than this whole search, and it does not
    tell unfinished blobs (https://huggingface.co/docs/huggingface_hub/guides/manage-cache).
    """
    for repository in children(cache):
        name = repository.name.removeprefix("models--")
        if name == repository.name:
            continue
        unfinished = sum(path.name.endswith(".incomplete") for path in children(repository / "blobs"))
        snapshot = _snapshot(repository)
        if snapshot or unfinished:
            yield Place(name.replace("--", "/"), snapshot or repository, source, unfinished)


def _snapshot(repository: Path) -> Path | None:
    """Return the snapshot that `main` points to, else the newest one."""
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


def _extra_places(folder: Path) -> Iterator[Place]:
    if is_model_folder(folder):
        yield Place(folder.name, folder, "folder")
        return
    # GGUF files that lie flat in the folder have no name before their own.
    yield Place("", folder, "folder")
    yield from _hub_places(folder, "folder")
    for path in folders(folder):
        if path.name.startswith(("models--", "datasets--", "spaces--")):
            continue
        yield Place(path.name, path, "folder")
        if not is_model_folder(path):
            for inner in folders(path):
                yield Place(f"{path.name}/{inner.name}", inner, "folder")
