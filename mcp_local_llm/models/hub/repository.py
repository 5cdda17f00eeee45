"""The description of a repository by the hub: the files of a model, with sizes and hashes. Pure functions."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from mcp_local_llm.values.errors import BackendProtocolError, DownloadError, IncompleteModelError
from mcp_local_llm.values.model import human_bytes

if TYPE_CHECKING:
    from _hashlib import HASH  # the type has no public name

MAX_FILE_BYTES = 50 * 10**9
"""The largest file that the hub serves over plain HTTP (huggingface_hub, MAX_HTTP_DOWNLOAD_SIZE)."""

WEIGHTS = "model*.safetensors"
"""The weight files that mlx-lm reads."""

# The files that mlx-lm downloads (mlx_lm/utils.py, DEFAULT_ALLOW_PATTERNS), less its Python files.
_WANTED = ("*.json", WEIGHTS, "*.jinja", "*.txt", "*.jsonl", "tokenizer.model", "*.tiktoken")
_TEMPLATE_VARIANTS = "additional_chat_templates/*.jinja"
_UNWANTED = ("*.bin.index.json", "*.index.json.bak")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_REPOSITORY_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class RepositoryFile:
    """One file of a repository.

    Attributes:
        name: its path in the repository.
        size: in bytes.
        etag: hash of the content, which names its blob in the cache: sha256 for large files (Git LFS), else the id of
            the Git blob.
    """

    name: str
    size: int
    etag: str

    @property
    def is_weights(self) -> bool:
        """Whether mlx-lm reads weights from it."""
        return fnmatchcase(self.name, WEIGHTS)

    def digest(self) -> "HASH":
        """Return a new hash, whose value for the content must be `etag`."""
        if _SHA256.fullmatch(self.etag):
            return hashlib.sha256()
        # The id of a Git blob is the hash of a short header and the content; it detects damage, as in Git.
        return hashlib.sha1(f"blob {self.size}\0".encode(), usedforsecurity=False)


@dataclass(frozen=True)
class Repository:
    """A model's repository at one commit.

    Attributes:
        revision: the commit that `main` points to.
        files: that an engine reads, without code and pickles.
        config: the content of config.json.
    """

    id: str
    revision: str
    files: tuple[RepositoryFile, ...]
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def weight_bytes(self) -> int:
        """Size of the weights, in bytes."""
        return sum(file.size for file in self.files if file.is_weights)

    @property
    def size(self) -> int:
        """Size of all files, in bytes."""
        return sum(file.size for file in self.files)


def is_repository_id(text: str) -> bool:
    """Return whether a text is the full name of a repository, `publisher/name`."""
    return _REPOSITORY_ID.fullmatch(text) is not None and ".." not in text and "--" not in text


def read_repository(name: str, answer: object) -> Repository:
    """Read the hub's description of a repository (`/api/models/{id}/revision/main?blobs=true`).

    Raises:
        BackendProtocolError: the answer is not valid.
        DownloadError: a file is outside of the repository's folder, or cannot be verified.
        IncompleteModelError: the repository holds no safetensors weights.
    """
    entries = cast(dict[str, Any], answer) if isinstance(answer, dict) else {}
    own_name, revision, siblings = entries.get("id"), entries.get("sha"), entries.get("siblings")
    if not (isinstance(own_name, str) and is_repository_id(own_name)):
        raise BackendProtocolError(f"The hub's answer about {name} names no repository. Check HF_ENDPOINT.")
    if not (isinstance(revision, str) and _COMMIT.fullmatch(revision) and isinstance(siblings, list)):
        raise BackendProtocolError(f"The hub's answer about {name} holds no commit or no files. Check HF_ENDPOINT.")
    listed = [cast(dict[str, Any], entry) for entry in cast(list[object], siblings) if isinstance(entry, dict)]
    names = [str(entry.get("rfilename")) for entry in listed]
    for file_name in names:
        _require_inside(own_name, file_name)
    files = tuple(_read_file(own_name, entry) for entry in listed if _is_wanted(str(entry.get("rfilename"))))
    if not any(file.is_weights for file in files):
        raise IncompleteModelError(f"{own_name} is not downloaded: {_no_weights(names)}.")
    return Repository(own_name, revision, tuple(sorted(files, key=lambda file: (file.is_weights, file.name))))


def _require_inside(repository: str, name: str) -> None:
    """Refuse a file name outside of the repository's folder."""
    path = PurePosixPath(name)
    odd = path.is_absolute() or "\\" in name or any(ord(letter) < 32 for letter in name)
    if odd or not name or any(part in ("", ".", "..") for part in name.split("/")):
        raise DownloadError(f"{repository} is not downloaded: it names a file outside of its folder ({name!r}).")


def _is_wanted(name: str) -> bool:
    """Return whether mlx-lm reads a file; in subfolders it reads variants of the chat template alone."""
    if "/" in name:
        return fnmatchcase(name, _TEMPLATE_VARIANTS)
    return any(fnmatchcase(name, pattern) for pattern in _WANTED) and not any(
        fnmatchcase(name, pattern) for pattern in _UNWANTED
    )


def _read_file(repository: str, entry: Mapping[str, Any]) -> RepositoryFile:
    name, size = str(entry["rfilename"]), entry.get("size")
    large = cast(Mapping[str, Any], entry.get("lfs") or {})
    etag = large.get("sha256") or large.get("oid") if large else entry.get("blobId")
    known = isinstance(etag, str) and (_SHA256 if large else _COMMIT).fullmatch(etag)
    if not isinstance(size, int) or isinstance(size, bool) or size < 0 or not known:
        raise DownloadError(f"{repository} is not downloaded: the hub gives no size or no hash of {name}.")
    if size > MAX_FILE_BYTES:
        raise DownloadError(
            f"{repository} is not downloaded: {name} has {human_bytes(size)}, and files above "
            f"{human_bytes(MAX_FILE_BYTES)} come over Xet alone. Get it with `hf download {repository}`."
        )
    return RepositoryFile(name, size, str(etag))


def _no_weights(names: list[str]) -> str:
    if any(name.endswith(_PICKLES) for name in names):
        return "its weights are pickled (.bin, .pt), which is never loaded; look for a safetensors version"
    if any(name.endswith(".gguf") for name in names):
        return "it holds GGUF files; this downloads safetensors models only"
    if any(name.endswith(".safetensors") for name in names):
        return f"no file of it is called {WEIGHTS}, the only weights that mlx-lm reads"
    return "it holds no safetensors weights"
