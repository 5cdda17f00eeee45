"""Reads messages of OpenAI- and Ollama-style servers, which have split the answer fully, partly or not at all (R31)."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from mcp_local_llm.parsing.json_calls import call_of
from mcp_local_llm.parsing.parsed import Parsed
from mcp_local_llm.parsing.parser import join_blocks, parse
from mcp_local_llm.parsing.shown_text import BLANK_LINES
from mcp_local_llm.values.chat import REASONING_FIELDS, ToolCall


def parse_message(
    message: Mapping[str, Any], *, think_prefilled: bool, tools: Sequence[Mapping[str, Any]] | None
) -> Parsed:
    """Take a server's assistant message apart.

    Args:
        message: `content`, `tool_calls` and one of the reasoning fields; anything may be missing or null.
        think_prefilled: the template opened the block; ignored where the server has split the reasoning off.
        tools: OpenAI tool list, as in `parse`.
    """
    content, thoughts = _parts(message.get("content"))
    separate = next((found for key in REASONING_FIELDS if (found := _parts(message.get(key))[0]).strip()), "")
    thoughts = [separate, *thoughts] if separate else thoughts
    if thoughts and not content.strip():
        return _without_content(message, thoughts, tools)
    parsed = parse(content, think_prefilled=think_prefilled and not thoughts, tools=tools)
    calls, warnings = _structured_calls(message, tools)
    # Line ends between a block and the answer, which the server has taken apart, belong to neither.
    blank = BLANK_LINES.match(parsed.text) if thoughts else None
    return Parsed(
        text=parsed.text[blank.end() :] if blank else parsed.text,
        reasoning=join_blocks([*thoughts, parsed.reasoning]),
        # Structured calls win; the same calls in the content are their raw form (R31).
        tool_calls=calls or parsed.tool_calls,
        warnings=(*warnings, *parsed.warnings),
        thinking_closed=parsed.thinking_closed or bool(calls),
    )


def _without_content(
    message: Mapping[str, Any], thoughts: Sequence[str], tools: Sequence[Mapping[str, Any]] | None
) -> Parsed:
    """Take apart a message that holds reasoning only; some servers leave the answer in it, behind the closer."""
    parsed = parse("\n".join(thoughts), think_prefilled=True, tools=None)
    calls, warnings = _structured_calls(message, tools)
    return Parsed(
        text=parsed.text,
        reasoning=parsed.reasoning,
        tool_calls=calls,
        warnings=(*warnings, *(() if calls else parsed.warnings)),
        thinking_closed=parsed.thinking_closed or bool(calls),
    )


def _structured_calls(
    message: Mapping[str, Any], tools: Sequence[Mapping[str, Any]] | None
) -> tuple[tuple[ToolCall, ...], list[str]]:
    """Return the server's own calls whose arguments parse, and a sentence for each that is dropped."""
    entries = message.get("tool_calls")
    found = list(cast(list[object], entries)) if isinstance(entries, list) else []
    if not found and isinstance(message.get("function_call"), Mapping):
        found = [message["function_call"]]
    if found and not tools:
        return (), ["The server returned a tool call although no tools were offered; it was dropped."]
    calls = [_with_id(entry) for entry in found]
    dropped = calls.count(None)
    warnings = [f"{dropped} tool call(s) of the server had unreadable arguments and were dropped."] if dropped else []
    return tuple(call for call in calls if call is not None), warnings


def _with_id(entry: object) -> ToolCall | None:
    call = call_of(entry)
    identifier = cast(Mapping[str, Any], entry).get("id") if isinstance(entry, Mapping) else None
    return call.model_copy(update={"id": identifier}) if call and isinstance(identifier, str) else call


def _parts(value: object) -> tuple[str, list[str]]:
    """Return the text of a string or of a list of content parts, and the parts that are reasoning."""
    if isinstance(value, str):
        return value, []
    texts: list[str] = []
    thoughts: list[str] = []
    for part in cast(list[object], value) if isinstance(value, list) else ():
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping):
            entry = cast(Mapping[str, Any], part)
            if entry.get("type") in ("thinking", "reasoning"):
                thoughts.append(_parts(entry.get("thinking", entry.get("text")))[0])
            else:
                texts.append(_parts(entry.get("text"))[0])
    return "".join(texts), thoughts
