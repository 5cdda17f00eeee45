"""The calls of an answer that had to be one: hermes' form, held to a grammar. It must not know other forms of calls."""

import json
from typing import Any

from mcp_local_llm.values.chat import ToolCall

CALL_TAGS = ("<tool_call>", "</tool_call>")
"""The tags around each call, for models that have no tokens of their own for it."""


def read_required_calls(text: str) -> tuple[tuple[ToolCall, ...], str]:
    """Return the calls, each once, and the beginning of one that was cut off.

    Args:
        text: objects with a name and arguments, and between them tags, which hold no brace.
    """
    calls, read, decoder = list[ToolCall](), 0, json.JSONDecoder()
    while (start := text.find("{", read)) >= 0:
        try:
            value: dict[str, Any]
            value, end = decoder.raw_decode(text, start)
        except ValueError:
            break
        call = ToolCall(name=value["name"], arguments=value["arguments"])
        # The turn ends with a call that was there before: a model that must call, and may go on, repeats itself.
        calls += [] if call in calls else [call]
        read = end
    return tuple(calls), text[start:] if start >= 0 else ""
