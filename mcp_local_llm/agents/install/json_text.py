"""Reads JSON with comments, and changes one member of such a text: comments, order and spaces of all others stay.

Pure. It reads JSON with what editors and agents allow in their settings: comments (`//`, `/* */`) and commas behind the
last member ("JSONC", as in https://code.visualstudio.com/docs/languages/json).
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from mcp_local_llm.agents.install.unreadable import UnreadableSettings

BLANK = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
SCAN = json.JSONDecoder().raw_decode
DEFAULT_INDENT = "  "


@dataclass(frozen=True)
class Node:
    """A value and where it stands in the text; `members` of an object, and whether a comma follows the last one."""

    start: int
    end: int
    value: Any
    members: "tuple[Member, ...] | None" = None
    comma: bool = False


@dataclass(frozen=True)
class Member:
    """A key with its value; `start` is where the key begins."""

    key: str
    start: int
    node: Node


def read_json(text: str) -> dict[str, Any]:
    """Return the object of a text; an empty text holds an empty one.

    Raises:
        UnreadableSettings: it is no JSON object.
    """
    return cast(dict[str, Any], _root(text).value) if text.strip() else {}


def read_value(text: str) -> Any:
    """Return the value of a text.

    Raises:
        UnreadableSettings: it holds no value, or more than one.
    """
    return _whole(text).value


def with_member(text: str, path: Sequence[str], value: object) -> str:
    """Return the text with the member at `path`; objects on the way that are missing are made.

    Raises:
        UnreadableSettings: the text is no JSON object, or a part of the path is none.
    """
    if not text.strip():
        return json.dumps(nested(path, value), indent=2, ensure_ascii=False) + "\n"
    node, depth = _deepest(text, path)
    if depth == len(path):
        column = _line_indent(text, node.start)
        return text[: node.start] + _written(value, column, _unit(text), newline_of(text)) + text[node.end :]
    return _inserted(text, node, path[depth], nested(path[depth + 1 :], value))


def without_member(text: str, path: Sequence[str]) -> str:
    """Return the text without the member at `path`, which must exist."""
    parent, _ = _deepest(text, path[:-1])
    members = parent.members or ()
    (index,) = (number for number, member in enumerate(members) if member.key == path[-1])
    last = index == len(members) - 1
    start, end = members[index].start, members[index].node.end
    # The line of the key goes with it, and what is in front of the key on that line if it is blank.
    line = text.rfind("\n", 0, start)
    if line >= 0 and not text[line:start].strip():
        start = line - 1 if text[line - 1] == "\r" else line
    if not last or parent.comma:
        end = _comma_behind(text, members[index]) + 1
    elif index:
        comma = _comma_behind(text, members[index - 1])
        between = text[comma + 1 : start]
        return text[:comma] + (between if between.strip(" ") else "") + text[end:]
    inside = text[parent.start + 1 : start] + text[end : parent.end - 1]
    if len(members) == 1 and not inside.strip():
        start, end = parent.start + 1, parent.end - 1
    return text[:start] + text[end:]


def _comma_behind(text: str, member: Member) -> int:
    place = member.node.end
    found = BLANK.match(text, place)
    return text.index(",", found.end() if found else place)


def _inserted(text: str, parent: Node, key: str, value: object) -> str:
    """Return the text with a new last member of an object, in the object's own form."""
    members = parent.members or ()
    closing, unit, newline = parent.end - 1, _unit(text), newline_of(text)
    outer = _line_indent(text, parent.start)
    if members and "\n" not in text[parent.start : members[0].start]:
        piece = f"{json.dumps(key, ensure_ascii=False)}: {json.dumps(value, ensure_ascii=False)}"
        end = members[-1].node.end
        return f"{text[:end]}, {piece}{text[end:]}"
    inner = _line_indent(text, members[0].start) if members else outer + unit
    piece = f"{newline}{inner}{json.dumps(key, ensure_ascii=False)}: {_written(value, inner, unit, newline)}"
    inside = text[parent.start + 1 : closing]
    filled = parent.start + 1 + len(inside.rstrip())
    # A comment behind the last member stays where it is: the comma stands in front of it, the new member on a new line.
    body = text[:filled]
    if members and not parent.comma:
        end = members[-1].node.end
        body = f"{text[:end]},{text[end:filled]}"
    rest = text[filled:closing] if "\n" in text[filled:closing] else newline + outer
    return f"{body}{piece}{',' if parent.comma else ''}{rest}{text[closing:]}"


def _deepest(text: str, path: Sequence[str]) -> tuple[Node, int]:
    """Return the last value of the path that exists, and how many keys lead to it."""
    node = _root(text)
    for depth, key in enumerate(path):
        if node.members is None:
            raise UnreadableSettings(f"{'.'.join(path[:depth])} is no object")
        found = [member.node for member in node.members if member.key == key]
        if len(found) > 1:
            raise UnreadableSettings(f"{'.'.join(path[: depth + 1])} is there {len(found)} times")
        if not found:
            return node, depth
        node = found[0]
    return node, len(path)


def _root(text: str) -> Node:
    node = _whole(text)
    if node.members is None:
        raise UnreadableSettings("it holds no JSON object")
    return node


def _whole(text: str) -> Node:
    reader = _Reader(text)
    node = reader.value(reader.past_blank(0))
    if reader.past_blank(node.end) != len(text):
        raise reader.failure(node.end, "more text follows the object")
    return node


class _Reader:
    """Reads values with their places."""

    def __init__(self, text: str) -> None:
        self._text = text

    def failure(self, place: int, reason: str) -> UnreadableSettings:
        return UnreadableSettings(f"line {self._text.count(chr(10), 0, place) + 1}: {reason}")

    def past_blank(self, place: int) -> int:
        found = BLANK.match(self._text, place)
        return found.end() if found else place

    def value(self, start: int) -> Node:
        opening = self._text[start : start + 1]
        try:
            if opening == "{":
                return self._object(start)
            if opening == "[":
                return self._list(start)
            value, end = SCAN(self._text, start)
        except (ValueError, RecursionError) as error:
            raise self.failure(start, "it is no JSON from there on") from error
        return Node(start, end, value)

    def _object(self, start: int) -> Node:
        members: list[Member] = []
        place, comma = self.past_blank(start + 1), False
        while self._text[place : place + 1] != "}":
            if members and not comma:
                raise self.failure(place, "a comma or } is missing")
            if self._text[place : place + 1] != '"':
                raise self.failure(place, "the name of a member is missing")
            key = self.value(place)
            colon = self.past_blank(key.end)
            if self._text[colon : colon + 1] != ":":
                raise self.failure(colon, "a colon is missing")
            node = self.value(self.past_blank(colon + 1))
            members.append(Member(key.value, place, node))
            place, comma = self._past_comma(node.end)
        value = {member.key: member.node.value for member in members}
        return Node(start, place + 1, value, tuple(members), comma)

    def _list(self, start: int) -> Node:
        values: list[Any] = []
        place, comma = self.past_blank(start + 1), False
        while self._text[place : place + 1] != "]":
            if values and not comma:
                raise self.failure(place, "a comma or ] is missing")
            node = self.value(place)
            values.append(node.value)
            place, comma = self._past_comma(node.end)
        return Node(start, place + 1, values)

    def _past_comma(self, place: int) -> tuple[int, bool]:
        place = self.past_blank(place)
        comma = self._text[place : place + 1] == ","
        return (self.past_blank(place + 1) if comma else place), comma


def nested(path: Sequence[str], value: object) -> object:
    """Return a value inside of objects whose keys lead to it."""
    for key in reversed(path):
        value = {key: value}
    return value


def _written(value: object, indent: str, unit: str, newline: str) -> str:
    return json.dumps(value, indent=unit, ensure_ascii=False).replace("\n", newline + indent)


def _line_indent(text: str, place: int) -> str:
    line = text[text.rfind("\n", 0, place) + 1 : place]
    return line[: len(line) - len(line.lstrip())]


def _unit(text: str) -> str:
    """Return one step of the text's indentation."""
    found = re.search(r"\n([ \t]+)\S", text)
    return found[1] if found else DEFAULT_INDENT


def newline_of(text: str) -> str:
    """Return what ends the lines of a text."""
    return "\r\n" if "\r\n" in text else "\n"
