"""Changes one entry of a table in a YAML text by lines. Pure.

To load and dump a text would change its quotes, widths and indents, so it is read only for the places of its keys.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mcp_local_llm.agents.install.json_text import newline_of
from mcp_local_llm.agents.install.unreadable import UnreadableSettings

INDENT = "  "


def read_yaml(text: str) -> dict[str, Any]:
    """Return the table of a text; an empty text holds an empty one.

    Raises:
        UnreadableSettings: it is no YAML, or holds no table.
    """
    loaded = _loaded(text, "safe")
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise UnreadableSettings("it holds no table")
    return cast(dict[str, Any], loaded)


def with_mapping(text: str, path: Sequence[str], value: Mapping[str, Any]) -> str:
    """Return the text with the entry `path` = (table, name), in front of the table's other entries.

    Raises:
        UnreadableSettings: the table is written in one line.
    """
    top, name = path
    if name in (read_yaml(text).get(top) or {}):
        text = without_mapping(text, path)
    newline = newline_of(text)
    lines = text.splitlines(keepends=True)
    marks = _marks(text)
    if top not in marks:
        lead = newline if lines and not lines[-1].endswith("\n") else ""
        return text + lead + f"{top}:{newline}" + _block(name, value, INDENT, newline)
    row: int = marks.lc.key(top)[0]
    inner = marks[top]
    if inner:
        if inner.lc.line == row:
            raise UnreadableSettings(f"{top} is written in one line")
        lines.insert(inner.lc.line, _block(name, value, " " * inner.lc.col, newline))
    else:
        head = lines[row].rstrip("\r\n").replace("{}", "").replace("null", "").rstrip()
        lines[row] = head + newline
        lines.insert(row + 1, _block(name, value, INDENT, newline))
    return "".join(lines)


def without_mapping(text: str, path: Sequence[str]) -> str:
    """Return the text without the entry `path` = (table, name); a table that is empty then goes with it.

    Raises:
        UnreadableSettings: the table is written in one line.
    """
    (top, name), lines = path, text.splitlines(keepends=True)
    marks = _marks(text)
    place: tuple[int, int] = marks[top].lc.key(name)
    row, column = place
    if _indent(lines[row]) != column:
        raise UnreadableSettings(f"{top} is written in one line")
    end = row + 1
    while end < len(lines) and lines[end].strip() and _indent(lines[end]) > column:
        end += 1
    del lines[row:end]
    if len(marks[top]) == 1:
        del lines[marks.lc.key(top)[0]]
    return "".join(lines)


def _marks(text: str) -> Any:
    """Return the table with the places of its keys."""
    loaded = _loaded(text, "rt")
    return {} if loaded is None else loaded


def _loaded(text: str, typ: str) -> Any:
    try:
        return cast(Any, YAML(typ=typ, pure=True)).load(text)
    except YAMLError as error:
        raise UnreadableSettings(" ".join(str(error).split())) from error


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _block(name: str, value: Mapping[str, Any], indent: str, newline: str) -> str:
    # A value of JSON is one of YAML as well.
    members = (f"{indent}{INDENT}{key}: {json.dumps(one, ensure_ascii=False)}" for key, one in value.items())
    return "".join(line + newline for line in (f"{indent}{name}:", *members))
