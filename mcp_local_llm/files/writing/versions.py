"""Old versions of files that drafts replaced, kept in the state folder; a restore takes the latest one off the pile."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from mcp_local_llm.files.writing.atomic_write import Previous
from mcp_local_llm.files.writing.state import MAX_BYTES, REPLACED, VERSIONS, StateFolder
from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.values.errors import FileAccessError

_NAME = re.compile(r"[0-9a-f]{24}-(\d{20})-[0-9a-f]{6}-([0-7]{3})-.*", re.DOTALL)


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
    # Behind every version before it, also where the clock was put back: a restore takes the last one.
    earlier = (version.number for version in _versions(state, path))
    number = max(int(state.now() * 1e9), *(before + 1 for before in earlier), 0)
    name = f"{_key(path)}-{number:020d}-{secrets.token_hex(3)}-{previous.mode & 0o777:03o}-{path.name[-30:]}"
    return state.keep(REPLACED if restored else VERSIONS, name, previous.content)


def latest_version(state: StateFolder, path: Path) -> OldVersion:
    """Return the version that the last draft replaced.

    Raises:
        FileAccessError: of kind `no-version`, where none is kept.
    """
    found = _versions(state, path)
    if not found:
        raise FileAccessError(
            f"No older version of {path} is kept: no draft replaced it in the last 30 days, or all were restored.",
            "no-version",
        )
    last = max(found, key=lambda version: version.number)
    try:
        return OldVersion(last.kept, read_regular(last.kept, MAX_BYTES), last.mode)
    except OSError as error:
        raise FileAccessError(
            f"{last.kept} cannot be read: {error.strerror}. Mend that, or move it away to get the version before it.",
            "state",
        ) from error


@dataclass(frozen=True)
class _Version:
    """What the name of a kept version says: its place in the row of them, and the mode of the file."""

    kept: Path
    number: int
    mode: int


def _versions(state: StateFolder, path: Path) -> list[_Version]:
    """Return the kept versions of a file in any order; other names are passed over."""
    named = ((kept, _NAME.fullmatch(kept.name)) for kept in (state.path / VERSIONS).glob(f"{_key(path)}-*"))
    return [_Version(kept, int(name[1]), int(name[2], 8)) for kept, name in named if name]


def _key(path: Path) -> str:
    return hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()[:24]
