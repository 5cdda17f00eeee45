"""Old versions of files that drafts replaced, kept in the state folder; a restore takes the latest one off the pile."""

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path

from mcp_local_llm.files.writing.atomic_write import Previous
from mcp_local_llm.files.writing.state import REPLACED, VERSIONS, StateFolder
from mcp_local_llm.values.errors import FileAccessError


@dataclass(frozen=True)
class OldVersion:
    """A kept version: where it is, its content, and the mode that the file had."""

    kept: Path
    content: bytes
    mode: int


def keep_version(state: StateFolder, path: Path, previous: Previous, *, restored: bool = False) -> Path:
    """Keep a file's content before it is replaced, and return where.

    Args:
        state: the state folder.
        path: the file.
        previous: its content and mode.
        restored: a restore replaces it, so that the next restore must not bring it back.

    Raises:
        FileAccessError: it cannot be kept.
    """
    when = f"{int(state.now() * 1e9):020d}"
    name = f"{_key(path)}-{when}-{secrets.token_hex(3)}-{previous.mode & 0o777:03o}-{path.name[-30:]}"
    return state.keep(REPLACED if restored else VERSIONS, name, previous.content)


def latest_version(state: StateFolder, path: Path) -> OldVersion:
    """Return the version that the last draft replaced.

    Raises:
        FileAccessError: of kind `no-version`, where none is kept.
    """
    found = sorted((state.path / VERSIONS).glob(f"{_key(path)}-*"))
    if not found:
        raise FileAccessError(
            f"No older version of {path} is kept: no draft replaced it in the last 30 days, or all were restored.",
            "no-version",
        )
    kept = found[-1]
    try:
        return OldVersion(kept, kept.read_bytes(), int(kept.name.split("-")[3], 8))
    except OSError as error:
        raise FileAccessError(f"{kept} cannot be read: {error.strerror}.", "state") from error


def _key(path: Path) -> str:
    return hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()[:24]
