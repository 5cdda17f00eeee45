"""Reads the messages of the Messages API: system, user and assistant turns, and their blocks. Pure.

What a text model cannot read is told in the text, in its place; a client cannot take it back, so it is no error.
Thinking of earlier turns is left out: a template that drops it would otherwise change the past at each turn.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from mcp_local_llm.values.chat import Message, ToolCall, ToolSpec
from mcp_local_llm.values.errors import shortened
from mcp_local_llm.wire.anthropic.write_response import NO_TEXT
from mcp_local_llm.wire.json_values import as_list, as_object, as_text
from mcp_local_llm.wire.openai.errors import ParameterError

BILLING = "x-anthropic-billing-header:"
"""Begins a text that Claude Code puts before its system prompt; it differs in each session, and says nothing."""
UNPARSED = "__unparsedToolInput"
"""Member of the input of a call whose JSON Claude Code could not read; `raw` in it is the text."""
LEFT_OUT = "{} left out: this model reads text only"

_BETWEEN = "\n\n"
_SILENT = ("thinking", "redacted_thinking")

Block = Mapping[str, Any]


@dataclass
class ConversationReader:
    """Reads messages one after the other.

    Attributes:
        deferred: tools that are described where a `tool_reference` names them, by name.
        left_out: what was left out, as `[image]`; for a warning.
    """

    deferred: Mapping[str, ToolSpec]
    left_out: list[str] = field(default_factory=list[str])

    def system(self, system: str | Sequence[Block] | None) -> list[Message]:
        """Read the system prompt; empty for none."""
        text = self._text(system or "", "system")
        return [Message(role="system", content=text)] if text else []

    def message(self, message: Block, place: str) -> list[Message]:
        """Read one message, which may hold the results of several calls.

        Raises:
            ParameterError: the role is unknown, or the content is neither a text nor a list of blocks.
        """
        role, content = message.get("role"), message.get("content")
        match role:
            case "user":
                return self._user(content, f"{place}.content")
            case "assistant":
                return [self._assistant(content, f"{place}.content")]
            case "system":
                return [Message(role="system", content=self._text(content, f"{place}.content"))]
            case _:
                told = "it is missing" if role is None else f"{shortened(str(role))!r} is not known"
                raise ParameterError(f"{place}.role: {told}; it is user, assistant or system.", f"{place}.role")

    def _user(self, content: object, place: str) -> list[Message]:
        """Return the results of calls, each as a turn, then the text, if there is any."""
        blocks = _blocks(content, place)
        results = [block for block in blocks if block.get("type") == "tool_result"]
        text = self._joined([block for block in blocks if block.get("type") != "tool_result"], place)
        turns = [self._result(block, place) for block in results]
        return [*turns, Message(role="user", content=text)] if text or not turns else turns

    def _result(self, block: Block, place: str) -> Message:
        content = block.get("content")
        text = self._text("" if content is None else content, f"{place}.tool_result")
        if block.get("is_error") is True:
            text = f"Error: {text}"
        return Message(role="tool", content=text, tool_call_id=as_text(block.get("tool_use_id")) or None)

    def _assistant(self, content: object, place: str) -> Message:
        blocks = _blocks(content, place)
        calls = [call for block in blocks if (call := _call(block)) is not None]
        return Message(role="assistant", content=self._joined(blocks, place), tool_calls=calls)

    def _text(self, content: object, place: str) -> str:
        return self._joined(_blocks(content, place), place)

    def _joined(self, blocks: Sequence[Block], place: str) -> str:
        return _BETWEEN.join(filter(None, (self._block(block, place) for block in blocks)))

    def _block(self, block: Block, place: str) -> str:
        """Return the text of a block; of one that cannot be read, a note."""
        kind = block.get("type")
        match kind:
            case "text":
                return _without_billing(_own_text(block.get("text"), f"{place}.text"))
            case "tool_use":
                return _unread_call(block)
            case "tool_reference":
                return self._reference(as_text(block.get("tool_name")))
            case "document" | "search_result" if text := _text_of_source(block):
                return text
            case str() if kind in _SILENT:
                return ""
            case _:
                name = kind if isinstance(kind, str) and kind.isprintable() else "part of an unknown type"
                self.left_out.append(name[:40])
                return f"[{LEFT_OUT.format(name[:40])}]"

    def _reference(self, name: str) -> str:
        """Describe a tool where a search found it, as the prompt describes the others."""
        tool = self.deferred.get(name)
        if tool is None:
            return f"The tool {name} can be called."
        return f"This tool can be called now:\n{json.dumps(tool.openai(), ensure_ascii=False)}"


def _blocks(content: object, place: str) -> list[Block]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if content is None:
        raise ParameterError(f"{place}: it is missing; it is a text or a list of blocks.", place)
    blocks = cast(list[object], content) if isinstance(content, list) else [None]
    if not all(isinstance(block, dict) for block in blocks):
        raise ParameterError(f"{place}: it must be a text or a list of blocks with a type each.", place)
    return cast(list[Block], blocks)


def _own_text(text: object, place: str) -> str:
    if not isinstance(text, str):
        raise ParameterError(f"{place}: a block of type text holds a text.", place)
    # Our own words in an empty answer were not the model's.
    return "" if text == NO_TEXT else text


def _without_billing(text: str) -> str:
    return text.partition("\n")[2].lstrip("\n") if text.startswith(BILLING) else text


def _call(block: Block) -> ToolCall | None:
    """Return the call of a block; None for other blocks, and for a call that cannot be read."""
    name, values = block.get("name"), block.get("input")
    sound = isinstance(values, dict) and UNPARSED not in values
    if block.get("type") != "tool_use" or not isinstance(name, str) or not name or not sound:
        return None
    return ToolCall(name=name, arguments=cast(dict[str, Any], values), id=as_text(block.get("id")) or None)


def _unread_call(block: Block) -> str:
    """Return a call that cannot be read as the model wrote it; empty for one that can."""
    if _call(block) is not None:
        return ""
    values = block.get("input")
    unparsed = as_object(values).get(UNPARSED)
    raw = as_text(as_object(unparsed).get("raw")) or as_text(unparsed)
    return f"{as_text(block.get('name'))} {raw or json.dumps(values, ensure_ascii=False)}".strip()


def _text_of_source(block: Block) -> str:
    """Return the text of a document or of a search result; empty where it has none."""
    source = block.get("source")
    inner = as_object(source)
    text = as_text(inner.get("data")) if inner.get("type") == "text" else as_text(inner.get("content"))
    text = text or "".join(as_text(as_object(part).get("text")) for part in as_list(block.get("content")))
    head = (as_text(block.get("title")), source if isinstance(source, str) else "")
    return "\n".join([*filter(None, head), text]) if text else ""
