"""Kimi K3's calls: tags of the form `<|open|>name key="value"<|sep|>`, with the type of each argument."""

import re
from typing import Any

from mcp_local_llm.parsing.lenient_json import read_value
from mcp_local_llm.parsing.parsed import PayloadError
from mcp_local_llm.parsing.tool_formats.format import Payload, Source, skip_space
from mcp_local_llm.parsing.tool_formats.json_objects import read_object
from mcp_local_llm.values.chat import ToolCall

OPENER, CLOSER = "<|open|>tools<|sep|>", "<|close|>tools<|sep|>"
CALL, _CALL_END = "<|open|>call ", "<|close|>call<|sep|>"

_OPEN = re.compile(r"<\|open\|>(call|argument|json)\b((?:(?!<\|)[^\n])*)<\|sep\|>")
_ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
_ARGUMENT_END = re.compile(
    r"<\|close\|>argument<\|sep\|>(?=\s*(?:<\|open\|>(?:argument|json)\b|<\|close\|>call<\|sep\|>))"
)
_JSON_END = "<|close|>json<|sep|>"


def read_kimi_k3(source: Source, position: int) -> Payload | None:
    """Read one call up to its closing tag."""
    text = source.text
    opening = _OPEN.match(text, position)
    if opening is None or opening[1] != "call":
        if text.startswith("<|open|>", position) and len(text) - position < 400 and _cut(text, position):
            raise PayloadError(len(text), cut=True)
        return None
    name = _attributes(opening[2]).get("tool", "").strip()
    if not name:
        raise PayloadError(position, cut=False)
    arguments: dict[str, Any] = {}
    position = skip_space(text, opening.end())
    while not text.startswith(_CALL_END, position):
        tag = _OPEN.match(text, position)
        if tag is None or tag[1] == "call":
            # A call without its closing tag may lack arguments as well.
            raise PayloadError(position, cut=_cut(text, position))
        if tag[1] == "json":
            found, position = read_object(Source(text, _JSON_END, source.tools), tag.end())
            arguments |= found
            position = skip_space(text, position)
            if not text.startswith(_JSON_END, position):
                raise PayloadError(position, cut=_cut(text, position))
            position = skip_space(text, position + len(_JSON_END))
        else:
            position = skip_space(text, _argument(source, tag, name, arguments))
    return Payload((ToolCall(name=name, arguments=arguments),), position + len(_CALL_END))


def _argument(source: Source, tag: re.Match[str], name: str, arguments: dict[str, Any]) -> int:
    """Store one argument; return where its closing tag ends."""
    attributes = _attributes(tag[2])
    end = _ARGUMENT_END.search(source.text, tag.end())
    if end is None:
        raise PayloadError(len(source.text), cut=True)
    if "key" not in attributes:
        raise PayloadError(tag.start(), cut=False)
    raw = source.text[tag.end() : end.start()].replace("\r\n", "\n")
    arguments[attributes["key"]] = raw if attributes.get("type", "string") == "string" else _json(raw)
    return end.end()


def _json(raw: str) -> Any:
    """Read a value that is no string; one that is no JSON stays as it was written."""
    try:
        # A blank after it lets a number end before the text does.
        value, end = read_value(raw.strip() + " ", 0)
    except PayloadError:
        return raw
    return value if end == len(raw.strip()) else raw


def _attributes(text: str) -> dict[str, str]:
    return {key: value.replace("&quot;", '"').replace("&amp;", "&") for key, value in _ATTRIBUTE.findall(text)}


def _cut(text: str, position: int) -> bool:
    """Say whether the text ends within a tag that begins here."""
    return position == len(text) or "<|sep|>" not in text[position : position + 400]
