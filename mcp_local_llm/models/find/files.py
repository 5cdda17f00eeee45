"""Reads small files of a model's folder; `UnreadableError` is the only error."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from mcp_local_llm.setup.regular_file import open_regular, read_regular

JsonObject = dict[str, Any]

MAX_JSON_BYTES = 64 * 2**20
"""The most bytes of a JSON file; the largest usual one (a tokenizer's index) is below 20 MB."""

ADDITIONAL_TEMPLATES = "additional_chat_templates"
"""The subfolder in which transformers keeps the variants of a chat template."""

_LFS_POINTER = b"version https://git-lfs"


class UnreadableError(Exception):
    """A file cannot be read as its name says; the message is a sentence for the user, without the folder."""


def read_object(path: Path) -> JsonObject:
    """Read a JSON file that holds an object.

    Raises:
        UnreadableError: the file is missing, too large, not JSON, or not an object.
    """
    try:
        value: object = json.loads(read_regular(path, MAX_JSON_BYTES))
    except FileNotFoundError as error:
        raise UnreadableError(f"{path.name} is missing") from error
    except OSError as error:
        raise UnreadableError(f"{path.name} cannot be read ({error.strerror})") from error
    except json.JSONDecodeError as error:
        if is_lfs_pointer(path):
            raise UnreadableError(lfs_pointer(path.name)) from error
        raise UnreadableError(f"{path.name} is not valid JSON (line {error.lineno})") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, a number of thousands of digits, nested without end
        raise UnreadableError(f"{path.name} is not valid JSON") from error
    if not isinstance(value, dict):
        raise UnreadableError(f"{path.name} holds no JSON object")
    return cast(JsonObject, value)


def is_lfs_pointer(path: Path) -> bool:
    """Return whether a file is the few lines that Git leaves where Git LFS did not fetch the content."""
    try:
        with open_regular(path) as file:
            return file.read(len(_LFS_POINTER)) == _LFS_POINTER
    except OSError:
        return False


def lfs_pointer(name: str, wanted: str = "the file itself") -> str:
    """Return the sentence about a file that is a Git LFS pointer."""
    return f"{name} is a Git LFS pointer, not {wanted}: fetch it with git lfs pull"


def section(value: JsonObject, key: str) -> JsonObject:
    """Return the object under `key`; an empty one for any other value."""
    inner = value.get(key)
    return cast(JsonObject, inner) if isinstance(inner, dict) else {}


def count_of(value: JsonObject, *keys: str) -> int | None:
    """Return the first positive whole number under one of `keys`."""
    for key in keys:
        number = value.get(key)
        if isinstance(number, int) and not isinstance(number, bool) and number > 0:
            return number
    return None


def size_of(path: Path) -> int | None:
    """Return the size of a file in bytes; None for a missing file or a broken link."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def children(folder: Path) -> list[Path]:
    """List the entries of a folder by name, without hidden ones; empty for a folder that cannot be listed."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []


ListFolder = Callable[[Path], list[Path]]
"""Lists the entries of a folder as `children` does."""


def folders(folder: Path, listed: ListFolder = children) -> list[Path]:
    """List the subfolders of a folder, whose entries `listed` lists."""
    # Unlike Path.is_dir, os.path.isdir does not raise for a folder that cannot be entered.
    return [path for path in listed(folder) if os.path.isdir(path)]
