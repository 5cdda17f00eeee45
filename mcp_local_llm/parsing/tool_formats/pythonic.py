"""Payloads written as Python calls: `[f(x=1), g()]` (LFM2, Llama 4) or `f(x=1)` (Llama's and Gemma's code forms)."""

import re
from typing import Any

from mcp_local_llm.parsing.lenient_json import JsonVariant, read_value, skip_blank
from mcp_local_llm.parsing.parsed import PayloadError
from mcp_local_llm.parsing.tool_formats.format import NAME, Payload, Source
from mcp_local_llm.values.chat import ToolCall

_CALL = re.compile(rf"({NAME})\s*\(")
_LIST = re.compile(rf"\[\s*(?:{NAME}\s*\(|\]|{NAME}\Z|\Z)")
_KEYWORD = re.compile(r"([A-Za-z_][\w\-]*+)\s*=(?!=)")
_VARIANT = JsonVariant(python=True)


def read_pythonic(source: Source, position: int) -> Payload | None:
    """Read one call or a list of calls. Positional arguments have no name, so they make no call."""
    text = source.text
    if not _LIST.match(text, position):
        if not _CALL.match(text, position):
            return None
        call, end = _read_call(text, position)
        return Payload((call,), end)
    calls: list[ToolCall] = []
    position = skip_blank(text, position + 1)
    while not text.startswith("]", position):
        call, position = _read_call(text, position)
        calls.append(call)
        position = skip_blank(text, position)
        if text.startswith(",", position):
            position = skip_blank(text, position + 1)
        elif not text.startswith("]", position):
            raise PayloadError(position, cut=position >= len(text))
    return Payload(tuple(calls), position + 1)


def _read_call(text: str, position: int) -> tuple[ToolCall, int]:
    opening = _CALL.match(text, position)
    if opening is None:
        raise PayloadError(position, cut=position >= len(text) or text[position:].isidentifier())
    arguments: dict[str, Any] = {}
    position = skip_blank(text, opening.end())
    while not text.startswith(")", position):
        keyword = _KEYWORD.match(text, position)
        if keyword is None or keyword[1] in arguments:
            raise PayloadError(position, cut=position >= len(text))
        arguments[keyword[1]], position = read_value(text, keyword.end(), _VARIANT)
        position = skip_blank(text, position)
        if text.startswith(",", position):
            position = skip_blank(text, position + 1)
        elif not text.startswith(")", position):
            raise PayloadError(position, cut=position >= len(text))
    # Llama's built-in tools are written `brave_search.call(query="…")`.
    return ToolCall(name=opening[1].removesuffix(".call"), arguments=arguments), position + 1
