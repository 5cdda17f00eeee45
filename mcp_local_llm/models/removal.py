"""Plans what to delete so that one model is gone, and deletes it.

Nothing outside of the folders that are searched for models is deleted, no link is followed, and what other models or
revisions use stays. It must not know names, the resident model or terminals.

    Hugging Face cache   the snapshot (of a GGUF model its files), its refs, and the blobs that nothing else links to;
                         the whole repository where no other snapshot is left
    LM Studio            the model's folder, or its files where other models are in it
    folders of the user  files that belong to models; anything else stays, and the folder with it
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mcp_local_llm.models.find import ModelRoots, referenced_revision
from mcp_local_llm.models.hub import repository_lock
from mcp_local_llm.values.errors import InvalidRequestError
from mcp_local_llm.values.model import ModelInfo

_SPLIT = re.compile(r"(.+)-\d{5}-of-\d{5}\.gguf")
_SUFFIXES = frozenset({".safetensors", ".gguf", ".json", ".jinja", ".model", ".tiktoken", ".incomplete"})
_NAMES = frozenset({"merges.txt", "vocab.txt", "README.md", ".gitattributes", "LICENSE", "LICENSE.txt", "NOTICE"})


@dataclass(frozen=True)
class Removal:
    """What is deleted for one model.

    Attributes:
        model: its id.
        place: the folder or file that people know it by.
        delete: files, links and folders, in this order; folders with everything in them.
        empty: folders that are deleted afterwards if nothing is left in them.
        size_bytes: bytes that become free.
        notes: sentences about what stays.
        repository: the folder of the repository in a Hugging Face cache, which is locked meanwhile.
    """

    model: str
    place: Path
    delete: tuple[Path, ...]
    empty: tuple[Path, ...] = ()
    size_bytes: int = 0
    notes: tuple[str, ...] = field(default=())
    repository: Path | None = None


def plan_removal(
    model: ModelInfo, roots: ModelRoots, models: Iterable[ModelInfo], *, all_revisions: bool = False
) -> Removal:
    """Plan the removal of a model; deletes nothing.

    Args:
        model: to remove.
        roots: the folders that are searched for models.
        models: all models; those that share files or a folder with `model` keep them.
        all_revisions: of a repository in a Hugging Face cache, every snapshot.

    Raises:
        InvalidRequestError: its files are not here, are a part of this program, or lie outside of `roots`.
    """
    if model.endpoint is not None or model.cluster is not None or not model.path.parts:
        raise InvalidRequestError(f"{model.id} has no files of its own on this machine, so there is nothing to remove.")
    if model.path == roots.builtin:
        raise InvalidRequestError(f"{model.id} is a part of this program and is not removed.")
    others = [other for other in models if other.id != model.id and other.endpoint is None and other.cluster is None]
    repository = next((folder for folder in (model.path, *model.path.parents) if _is_repository(folder)), None)
    _require_inside(repository or model.path, roots)
    if repository is not None:
        return _of_repository(model, repository, others, all_revisions=all_revisions)
    return _of_folder(model, roots, others)


def remove(removal: Removal) -> None:
    """Delete what a removal lists.

    Raises:
        BusyError: another process downloads into the repository.
        InvalidRequestError: something cannot be deleted; the message names it.
    """
    try:
        if removal.repository is None:
            _delete_all(removal)
            return
        cache, name = removal.repository.parent, removal.repository.name
        with repository_lock(cache, name, removal.model):
            _delete_all(removal)
    except OSError as error:
        raise InvalidRequestError(f"{error.filename or removal.place} cannot be deleted: {error.strerror}.") from error
    if not removal.repository.exists():
        shutil.rmtree(cache / ".locks" / name, ignore_errors=True)


def _delete_all(removal: Removal) -> None:
    for path in removal.delete:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for folder in removal.empty:
        with suppress(OSError):  # something is left in it
            folder.rmdir()


def _is_repository(folder: Path) -> bool:
    return folder.name.startswith("models--") and ((folder / "snapshots").is_dir() or (folder / "blobs").is_dir())


def _require_inside(path: Path, roots: ModelRoots) -> None:
    """Refuse a path that is one of the roots, or whose folder is not inside one of them once links are resolved."""
    known = [Path(os.path.realpath(root)) for root in (*roots.hub_caches, *roots.lmstudio, *roots.omlx, *roots.extra)]
    folder = Path(os.path.realpath(path.parent))
    if not any(folder.is_relative_to(root) for root in known) or folder / path.name in known:
        raise InvalidRequestError(
            f"{path} is not removed: it does not lie in one of the folders that are searched for models. "
            "Delete it by hand, if that is what you want."
        )


def _of_repository(model: ModelInfo, repository: Path, others: Sequence[ModelInfo], *, all_revisions: bool) -> Removal:
    """Plan for a repository in a Hugging Face cache (https://huggingface.co/docs/huggingface_hub/guides/manage-cache)."""
    if repository.is_symlink():
        note = f"{repository} is a link; only the link is removed, not what it leads to."
        return Removal(model.id, repository, (repository,), notes=(note,), repository=repository)
    snapshots = [path for path in _entries(repository / "snapshots") if path.is_dir()]
    here = [path for path in snapshots if path == model.path or path in model.path.parents]
    chosen = snapshots if all_revisions or not here else here
    whole, files = list[Path](), list[Path]()
    for snapshot in chosen:
        shared = any(_lies_in(other, snapshot) for other in others)
        own = [path for path in _files(snapshot) if not shared or _belongs(model, path)]
        files += own
        if not shared:
            whole.append(snapshot)
    left = [path for path in snapshots if path not in whole]
    if not left:
        return Removal(model.id, repository, (repository,), (), _size([repository]), repository=repository)
    kept = {os.path.realpath(path) for snapshot in snapshots for path in _files(snapshot) if path not in files}
    blobs = Path(os.path.realpath(repository / "blobs"))
    targets = {Path(os.path.realpath(path)) for path in files if path.is_symlink()}
    free = sorted(path for path in targets if path.parent == blobs and str(path) not in kept)
    gone = {snapshot.name for snapshot in whole}
    references = [path for path in _files(repository / "refs") if referenced_revision(path) in gone]
    absent = [repository / ".no_exist" / name for name in gone if (repository / ".no_exist" / name).is_dir()]
    links = [path for path in files if not any(snapshot in path.parents for snapshot in whole)]
    delete = (*references, *whole, *absent, *links, *free)
    shared = len(targets) - len(free)
    stays = [snapshot.name for snapshot in left if snapshot not in chosen]
    notes = [f"Other revisions of it stay ({', '.join(stays)}); --all-revisions removes them too."] if stays else []
    notes += [f"{shared} of its files stay: they are shared with what is kept."] if shared else []
    return Removal(model.id, model.path, delete, (), _size((*whole, *links, *free)), tuple(notes), repository)


def _of_folder(model: ModelInfo, roots: ModelRoots, others: Sequence[ModelInfo]) -> Removal:
    """Plan for a folder with the files themselves."""
    folder = model.path if model.path.is_dir() else model.path.parent
    root = next(root for root in (*roots.lmstudio, *roots.omlx, *roots.extra) if _contains(root, folder))
    parents = [path for path in (folder, *folder.parents) if path != root and root in path.parents]
    if model.path.is_symlink():
        note = f"{model.path} is a link; only the link is removed, not what it leads to."
        return Removal(model.id, model.path, (model.path,), tuple(parents), notes=(note,))
    shared = folder == root or any(_lies_in(other, folder) for other in others)
    if not shared and root in roots.lmstudio:
        return Removal(model.id, folder, (folder,), tuple(parents), _size([folder]))
    own = [path for path in _files(folder) if (_belongs(model, path) if shared else _of_a_model(path))]
    left = [] if shared else [path for path in _files(folder) if path not in own]
    notes = [f"{len(left)} other files in {folder} stay."] if left else []
    inner = sorted({path.parent for path in own} - {folder}, reverse=True)
    return Removal(model.id, model.path, tuple(own), (*inner, *parents), _size(own), tuple(notes))


def _contains(root: Path, folder: Path) -> bool:
    return folder == root or root in folder.parents


def _lies_in(model: ModelInfo, folder: Path) -> bool:
    return model.path == folder or folder in model.path.parents


def _belongs(model: ModelInfo, path: Path) -> bool:
    """Return whether a file in a folder of several models holds weights of this one."""
    if model.format != "gguf":
        return ".safetensors" in path.name and path.parent == model.path
    split, own = _SPLIT.fullmatch(path.name), _SPLIT.fullmatch(model.path.name)
    same_set = split is not None and own is not None and split[1] == own[1]
    return path.parent.name == model.path.parent.name and (path.name == model.path.name or same_set)


def _of_a_model(path: Path) -> bool:
    return path.suffix in _SUFFIXES or path.name in _NAMES


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _files(folder: Path) -> Iterator[Path]:
    """Return the files and links below a folder; folders that are links are links."""
    for path in _entries(folder):
        if path.is_dir() and not path.is_symlink():
            yield from _files(path)
        else:
            yield path


def _size(paths: Iterable[Path]) -> int:
    """Return the bytes of files, and of the files in folders; a link counts as itself."""
    total = 0
    for path in paths:
        inside = _files(path) if path.is_dir() and not path.is_symlink() else [path]
        for file in inside:
            with suppress(OSError):
                status = file.lstat()
                # A file with several names is freed with its last one.
                total += status.st_size if status.st_nlink == 1 and not file.is_symlink() else 0
    return total
