"""Calls without markup (R23): a whole message of one JSON value, one fence with it, a Pythonic list or Gemma's calls.

Only the form shows that these are calls, so every name must be an offered tool, and text around them makes them text.
"""

import re
from collections.abc import Iterator

from mcp_local_llm.parsing.json_calls import calls_of
from mcp_local_llm.parsing.lenient_json import read_value
from mcp_local_llm.parsing.markup_scanner import scan_markup
from mcp_local_llm.parsing.offered_tools import OfferedTools
from mcp_local_llm.parsing.parsed import PayloadError
from mcp_local_llm.parsing.tool_formats.format import Source, skip_space
from mcp_local_llm.parsing.tool_formats.gemma import read_gemma4
from mcp_local_llm.parsing.tool_formats.pythonic import read_pythonic
from mcp_local_llm.values.chat import ToolCall

_FENCE = re.compile(r"(`{3,}|~{3,})[ \t]*([\w-]*)[ \t]*\r?\n(.*?)\n?[ ]{0,3}\1[ \t]*\Z", re.DOTALL)
_PRINT = re.compile(r"print\((.*)\)\Z", re.DOTALL)


def implicit_calls(content: str, tools: OfferedTools) -> tuple[ToolCall, ...]:
    """Return the calls where the whole content consists of calls, else none."""
    message = content.strip()
    fence = _FENCE.match(message) if message.startswith(("```", "~~~")) else None
    if fence is not None:
        inner = fence[3].strip()
        calls = _json_calls(inner) or _tagged_calls(inner, tools)
        if not calls and fence[2] == "tool_code":
            calls = _code_calls(inner, tools)
    else:
        calls = _json_calls(message) or _list_calls(message, tools) or _gemma_calls(message, tools)
    return calls if all(tools.knows(call.name) for call in calls) else ()


def _json_calls(message: str) -> tuple[ToolCall, ...]:
    if not message.startswith(("{", "[")) or not message.endswith(("}", "]")):
        return ()
    try:
        value, end = read_value(message, 0)
    except PayloadError:
        return ()
    calls = tuple(calls_of(value, explicit=False))
    complete = tuple(call for call in calls if call is not None)
    return complete if end == len(message) and len(complete) == len(calls) else ()


def _list_calls(message: str, tools: OfferedTools) -> tuple[ToolCall, ...]:
    return _pythonic(message, tools) if message.startswith("[") and message.endswith("]") else ()


def _gemma_calls(message: str, tools: OfferedTools) -> tuple[ToolCall, ...]:
    """Read Gemma 4's calls without their opener, which it forgets behind a thought."""
    calls: list[ToolCall] = []
    position, closer = 0, "<tool_call|>"
    while position < len(message):
        try:
            payload = read_gemma4(Source(message, closer, tools), position)
        except PayloadError:
            return ()
        if payload is None:
            return ()
        calls += payload.calls
        position = skip_space(message, payload.end)
        position = skip_space(message, position + len(closer)) if message.startswith(closer, position) else position
    return tuple(calls)


def _pythonic(message: str, tools: OfferedTools) -> tuple[ToolCall, ...]:
    try:
        payload = read_pythonic(Source(message, "", tools), 0)
    except PayloadError:
        return ()
    return payload.calls if payload is not None and payload.end == len(message) else ()


def _tagged_calls(message: str, tools: OfferedTools) -> tuple[ToolCall, ...]:
    """Return the one tagged call that fills a fence."""
    found = list(_only_calls(message, tools))
    return found[0] if len(found) == 1 else ()


def _only_calls(message: str, tools: OfferedTools) -> Iterator[tuple[ToolCall, ...]]:
    for token in scan_markup(message, 0, tools):
        whole = token.start == 0 and token.reading is not None and token.reading.end == len(message)
        yield token.reading.calls if whole and token.reading is not None else ()
        return


def _code_calls(message: str, tools: OfferedTools) -> tuple[ToolCall, ...]:
    """Read Gemma 3's `tool_code`: one call per line, or a list, perhaps printed."""
    calls: list[ToolCall] = []
    for line in [message] if message.startswith("[") else message.split("\n"):
        printed = _PRINT.fullmatch(line.strip())
        made = _pythonic(printed[1] if printed else line.strip(), tools)
        if not made:
            return ()
        calls += made
    return tuple(calls)
