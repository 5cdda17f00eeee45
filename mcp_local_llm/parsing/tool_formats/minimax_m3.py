"""MiniMax M3's calls: a marker before every tag, parameters named by their tags, lists and objects as nested tags."""

import re
from typing import Any

from mcp_local_llm.parsing.parsed import PayloadError
from mcp_local_llm.parsing.tool_formats.format import Payload, Source, broken, skip_space, unframed
from mcp_local_llm.values.chat import ToolCall

MARK = "]<]minimax[>["
"""Stands before every tag of a call, and so tells it from a value's own markup."""

OPENER, CLOSER = f"{MARK}<tool_call>", f"{MARK}</tool_call>"
_INVOKE_OPEN, _INVOKE_CLOSE = f"{MARK}<invoke ", f"{MARK}</invoke>"

_INVOKE = re.compile(rf"{re.escape(MARK)}<invoke[ \t]+name=[\"']?([^<>\n\"']+)[\"']?[ \t]*>")
_TAG = re.compile(rf"{re.escape(MARK)}<(/?)([^<>/\s]+)>")
_ITEM = "item"
_MAX_DEPTH = 32


def read_minimax_m3(source: Source, position: int) -> Payload | None:
    """Read one `invoke` element."""
    opening = _INVOKE.match(source.text, position)
    if opening is None:
        rest = source.text[position : position + 200]
        if position + len(rest) == len(source.text) and rest.startswith(_INVOKE_OPEN) and ">" not in rest[len(MARK) :]:
            raise PayloadError(len(source.text), cut=True)
        return None
    name = opening[1].strip()
    values, position = _children(source, opening.end(), "invoke", 0)
    if isinstance(values, list):
        raise PayloadError(position, cut=False)
    arguments = {key: source.tools.structured(name, key, value) for key, value in values.items()}
    return Payload((ToolCall(name=name, arguments=arguments),), position)


def _children(source: Source, position: int, parent: str, depth: int) -> tuple[dict[str, Any] | list[Any], int]:
    """Read the elements up to the parent's closing tag: items are a list, anything else is an object."""
    found: list[tuple[str, Any]] = []
    if depth > _MAX_DEPTH:
        raise PayloadError(position, cut=False)
    while True:
        position = skip_space(source.text, position)
        tag = _TAG.match(source.text, position)
        if tag is None:
            raise broken(source.text, position, MARK, *(f"{MARK}<{sign}" for sign in ("/", "")))
        if tag[1]:
            if tag[2] != parent:
                raise PayloadError(position, cut=False)
            break
        value, position = _value(source, tag, depth)
        found.append((tag[2], value))
    if found and all(name == _ITEM for name, _ in found):
        return [value for _, value in found], tag.end()
    if len({name for name, _ in found}) < len(found):
        raise PayloadError(position, cut=False)
    return dict(found), tag.end()


def _value(source: Source, opening: re.Match[str], depth: int) -> tuple[Any, int]:
    """Read the value behind an opening tag; return it and where its closing tag ends."""
    following = _TAG.search(source.text, opening.end())
    if following is None:
        raise PayloadError(len(source.text), cut=True)
    if following[1]:
        if following[2] != opening[2]:
            raise PayloadError(following.start(), cut=False)
        return unframed(source.text[opening.end() : following.start()]), following.end()
    if source.text[opening.end() : following.start()].strip():
        raise PayloadError(following.start(), cut=False)
    return _children(source, following.start(), opening[2], depth + 1)
