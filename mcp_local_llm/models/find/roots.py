"""The folders in which each tool keeps models, and the locations of models inside them."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp_local_llm.models.find.files import ListFolder, UnreadableError, children, folders, read_object
from mcp_local_llm.models.find.folder import ModelLocation, is_model_folder
from mcp_local_llm.setup.places import from_home, hugging_face_folder
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
        omlx: oMLX's folders, with models or `publisher/model` inside.
        extra: folders of the settings, each with models, with `publisher/model` folders, or itself a model.
        builtin: the folder of the built-in model; None to leave it out.
    """

    hub_caches: tuple[Path, ...] = ()
    lmstudio: tuple[Path, ...] = ()
    omlx: tuple[Path, ...] = ()
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
    named = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE")
    cache = from_home(named, home) if named else hugging_face_folder(environ, home) / "hub"
    default = hugging_face_folder({}, home) / "hub"
    return ModelRoots(
        hub_caches=tuple(dict.fromkeys((cache, default))),
        lmstudio=tuple(dict.fromkeys(_lmstudio_folders(home))),
        omlx=(home / ".omlx" / "models",),
        extra=tuple(from_home(str(folder), home) for folder in extra),
        builtin=BUILTIN_FOLDER,
    )


def _lmstudio_folders(home: Path) -> Iterator[Path]:
    """Return the folders of models of LM Studio, by default and where its setting `downloadsFolder` says."""
    homes = (home / ".lmstudio", home / ".cache" / "lm-studio")
    yield from (folder / "models" for folder in homes)
    for folder in homes:
        try:
            named = read_object(folder / "settings.json").get("downloadsFolder")
        except UnreadableError:
            continue
        if isinstance(named, str) and named.strip() and _is_path(named):
            yield home / named.strip().removeprefix("~/")


def _is_path(text: str) -> bool:
    """Return whether a text of another program's file can be a path: without NUL and halves of surrogate pairs."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def folder_warnings(folders: Iterable[Path]) -> tuple[str, ...]:
    """Return a sentence for each folder of the settings that holds no models because it is none."""
    return tuple(filter(None, map(_folder_warning, folders)))


def _folder_warning(folder: Path) -> str:
    if os.path.isdir(folder):
        return "" if os.access(folder, os.R_OK | os.X_OK) else f"The folder {folder} of the settings cannot be read."
    start = (
        f"The folder {folder} of the settings (`folders`) {'is a file' if os.path.exists(folder) else 'does not exist'}"
    )
    if "$" in str(folder) or "%" in str(folder):
        return f"{start}: variables are not expanded there. Write the whole path, or one that begins with ~/."
    if any(sign in str(folder) for sign in ",;"):
        return f"{start}: in the variable, folders are separated by {os.pathsep!r}, and in the file they are a list."
    if not folder.is_absolute():
        return f"{start}: the path is relative to the folder in which the server was started. Write the whole path."
    return f"{start}. Mend the path, or mount its disk."


def model_locations(roots: ModelRoots, listed: ListFolder = children) -> Iterator[ModelLocation]:
    """Return every location of a model, the built-in one last; `listed` lists each folder that is searched."""
    for cache in roots.hub_caches:
        yield from _hub_locations(cache, "huggingface", listed)
    for folder in roots.lmstudio:
        for publisher in listed(folder):
            for path in folders(publisher, listed):
                yield ModelLocation(f"{publisher.name}/{path.name}", path, "lmstudio")
    for folder in (*roots.omlx, *roots.extra):
        yield from _extra_locations(folder, listed)
    if roots.builtin:
        yield ModelLocation(roots.builtin.name, roots.builtin, "builtin")


def _hub_locations(cache: Path, source: ModelSource, listed: ListFolder) -> Iterator[ModelLocation]:
    """Return the locations in a hub cache, by its documented layout: refs/, snapshots/ and blobs/ for each repository.

    `huggingface_hub.scan_cache_dir` takes longer to import than this search takes, and does not report partial blobs
    (https://huggingface.co/docs/huggingface_hub/guides/manage-cache).
    """
    for repository in listed(cache):
        name = repository.name.removeprefix("models--")
        if name == repository.name:
            continue
        unfinished = sum(path.name.endswith(".incomplete") for path in listed(repository / "blobs"))
        snapshots = _snapshots(repository, listed)
        for path in snapshots or ([repository] if unfinished else []):
            yield ModelLocation(name.replace("--", "/"), path, source, unfinished)


def _snapshots(repository: Path, listed: ListFolder) -> list[Path]:
    """Return the snapshot of `refs/main` and then the others, the newest first; without `refs/main` the newest alone.

    Of models with one id a sound one is listed, so an earlier snapshot serves where `refs/main` has moved on and its
    own snapshot is missing or incomplete.
    """
    snapshots = folders(repository / "snapshots", listed)
    main = referenced_revision(repository / "refs" / "main")
    snapshots.sort(key=lambda path: (path.name == main, _modified(path)))
    return snapshots[::-1] if main else snapshots[-1:]


def referenced_revision(reference: Path) -> str:
    """Return the revision that a file in `refs/` names; empty where it cannot be read."""
    try:
        return read_regular(reference, MAX_REVISION_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _extra_locations(folder: Path, listed: ListFolder) -> Iterator[ModelLocation]:
    if is_model_folder(folder, listed):
        yield ModelLocation(folder.name, folder, "folder")
        return
    # The ids of GGUF files directly in the folder have no prefix.
    yield ModelLocation("", folder, "folder", nested=False)
    yield from _hub_locations(folder, "folder", listed)
    for path in folders(folder, listed):
        if path.name.startswith(("models--", "datasets--", "spaces--")):
            continue
        alone = is_model_folder(path, listed)
        yield ModelLocation(path.name, path, "folder", nested=alone)
        if not alone:
            for inner in folders(path, listed):
                yield ModelLocation(f"{path.name}/{inner.name}", inner, "folder")
