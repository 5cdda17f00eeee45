"""Changes one entry in the text of a settings file: JSON, TOML or YAML. Pure.

Every change is checked before it is returned: the new text, read again, must hold exactly what the old one held and the
entry, or the change is refused.
"""

import copy
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import tomlkit
from tomlkit.exceptions import TOMLKitError

from mcp_local_llm.agents.install.json_text import nested, newline_of, read_json, with_member, without_member
from mcp_local_llm.agents.install.unreadable import UnreadableSettings
from mcp_local_llm.agents.install.yaml_text import read_yaml, with_mapping, without_mapping

Format = Literal["json", "toml", "yaml"]
Tree = dict[str, Any]

NOT_SAFE = "the entry cannot be written without changing something else in the file"


def read(text: str, form: Format) -> Tree:
    """Return what the text holds.

    Raises:
        UnreadableSettings: it cannot be read as `form`.
    """
    if form == "json":
        return read_json(text)
    if form == "yaml":
        return read_yaml(text)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UnreadableSettings(str(error)) from error


def entry_at(tree: Mapping[str, Any], path: Sequence[str]) -> Any:
    """Return the value at a path, None where there is none."""
    value: Any = tree
    for key in path:
        value = cast(Mapping[str, Any], value).get(key) if isinstance(value, Mapping) else None
    return value


def with_entry(text: str, form: Format, path: Sequence[str], value: Mapping[str, Any]) -> str:
    """Return the text with the entry at `path`.

    Raises:
        UnreadableSettings: the text cannot be read, or the entry does not fit into it.
    """
    wanted = _set(read(text, form), path, value)
    writers = {"json": with_member, "toml": _with_table, "yaml": with_mapping}
    after = writers[form](text, path, value)
    try:
        kept = read(after, form)
    except UnreadableSettings as error:
        raise UnreadableSettings(NOT_SAFE) from error
    if kept != wanted:
        raise UnreadableSettings(NOT_SAFE)
    return after


def without_entry(text: str, form: Format, path: Sequence[str]) -> str:
    """Return the text without the entry at `path`.

    Raises:
        UnreadableSettings: the text cannot be read, or the entry cannot be taken out of it.
    """
    removers = {"json": without_member, "toml": _without_table, "yaml": without_mapping}
    before, after = read(text, form), removers[form](text, path)
    kept = read(after, form)
    # An empty table around the entry may go with it: without members it says nothing.
    if entry_at(kept, path) is not None or _pruned(_removed(before, path)) != _pruned(kept):
        raise UnreadableSettings(NOT_SAFE)
    return after


def _set(tree: Tree, path: Sequence[str], value: Mapping[str, Any]) -> Tree:
    root = copy.deepcopy(tree)
    place = root
    for depth, key in enumerate(path[:-1], start=1):
        inner = place.get(key)
        # YAML writes an empty table as nothing.
        if inner is None:
            inner = place[key] = {}
        if not isinstance(inner, dict):
            raise UnreadableSettings(f"{'.'.join(path[:depth])} is no table")
        place = cast(Tree, inner)
    place[path[-1]] = dict(value)
    return root


def _removed(tree: Tree, path: Sequence[str]) -> Tree:
    root = copy.deepcopy(tree)
    entry_at(root, path[:-1]).pop(path[-1])
    return root


def _pruned(value: Any) -> Any:
    """Leave out empty tables."""
    if not isinstance(value, dict):
        return value
    kept = {key: _pruned(inner) for key, inner in cast(Tree, value).items()}
    return {key: inner for key, inner in kept.items() if inner not in ({}, None)}


def _with_table(text: str, path: Sequence[str], value: Mapping[str, Any]) -> str:
    newline = newline_of(text)
    if entry_at(read(text, "toml"), path) is None:
        # A table at the end of the file disturbs nothing above it.
        table = tomlkit.dumps(cast(Any, nested(path, dict(value)))).strip()
        lead = "" if not text.strip() else newline if text.endswith("\n") else 2 * newline
        return f"{text}{lead}{table}\n".replace("\r\n", "\n").replace("\n", newline)
    document = _toml(text)
    table = entry_at(document, path)
    for key in [key for key in table if key not in value]:
        del table[key]
    for key, one in value.items():
        table[key] = one
    return tomlkit.dumps(document)


def _without_table(text: str, path: Sequence[str]) -> str:
    document = _toml(text)
    del entry_at(document, path[:-1])[path[-1]]
    after = tomlkit.dumps(document)
    newline = newline_of(after)
    # The blank line in front of a table at the end of the file was written with it.
    if after.endswith(2 * newline) and text.startswith(after):
        after = after.removesuffix(newline)
    return after if after.strip() else ""


def _toml(text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise UnreadableSettings(" ".join(str(error).split())) from error
