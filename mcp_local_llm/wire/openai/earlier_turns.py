"""Reads the earlier turns of a conversation: what cannot be read in them is kept as text.

A client cannot take back what its history holds, so a refusal would end the session. Only the newest turn is read
strictly. Pure.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from mcp_local_llm.values.errors import first_of
from mcp_local_llm.wire.json_values import as_object, require_few_values

MAX_KEPT = 1000
"""Characters of a part in a form that is not known; of a longer one, or one with binary data, its type is kept."""
MAX_NAMED = 5
"""Parts that a warning names."""

_TEXT_FIELDS = ("text", "refusal", "thinking", "reasoning", "content")

WriteArguments = Callable[[dict[str, Any]], object]
"""Writes the arguments of a call as the reader of the turns wants them."""


def with_readable_past(
    turns: Sequence[object], newest: int, write_arguments: WriteArguments = json.dumps
) -> tuple[list[object], list[str]]:
    """Return the turns with what cannot be read in those before `newest` written as text.

    Args:
        turns: the messages of a request, decoded from JSON.
        newest: index of the first message of the newest turn.
        write_arguments: how arguments are written.

    Returns:
        The turns, and a warning where something was written as text.
    """
    kept: list[str] = []
    read = [
        _readable(cast(dict[str, Any], turn), f"messages[{index}]", kept, write_arguments)
        if index < newest and isinstance(turn, dict)
        else turn
        for index, turn in enumerate(turns)
    ]
    warning = f"Earlier turns hold what cannot be read here, which was kept as text: {first_of(kept, MAX_NAMED)}."
    return read, [warning] if kept else []


def newest_turn(turns: Sequence[object], *, more: bool = False) -> int:
    """Return where the newest turn begins: the results of tools at the end, or the last message.

    Args:
        turns: the messages.
        more: another message follows, unless results of tools are at the end.
    """
    index = len(turns)
    while index > 0 and as_object(turns[index - 1]).get("role") == "tool":
        index -= 1
    return index if more else min(index, max(len(turns) - 1, 0))


def _readable(turn: Mapping[str, Any], place: str, kept: list[str], write_arguments: WriteArguments) -> dict[str, Any]:
    """Return one turn, and add what was written as text to `kept`."""
    read = {name: value for name, value in turn.items() if name not in ("content", "refusal", "tool_calls")}
    for name in ("name", "tool_call_id"):
        if not isinstance(read.get(name, ""), str):
            read[name] = str(read[name]) if isinstance(read[name], int) else ""
    texts = [_text(turn.get("content"), place, kept)]
    if isinstance(refusal := turn.get("refusal"), str):
        texts.append(refusal)
    calls: list[dict[str, Any]] = []
    given = turn.get("tool_calls")
    for call in filter(None, cast(list[object], given) if isinstance(given, list) else [given]):
        sound = _call(call, write_arguments)
        if sound is None:
            texts.append(_shortened(call))
            kept.append(f"a tool call in {place}")
        else:
            calls.append(sound)
    read["content"] = "\n".join(text for text in texts if text)
    return {**read, "tool_calls": calls} if calls else read


def _text(content: object, place: str, kept: list[str]) -> str:
    """Return the text of a content: of parts, the text of each."""
    if content is None or isinstance(content, str):
        return content or ""
    texts, all_text = list[str](), True
    for part in cast(list[object], content) if isinstance(content, list) else [content]:
        fields: dict[str, Any] = cast(dict[str, Any], part) if isinstance(part, dict) else {"text": part}
        kind = str(fields.get("type", "text"))[:40]
        told = (text for name in _TEXT_FIELDS if isinstance(text := fields.get(name), str))
        if kind == "text" and isinstance(fields.get("text", ""), str):
            texts.append(fields.get("text", ""))
        else:
            texts.append(next(told, None) or _shortened(fields))
            kept.append(f"a part of type {kind!r} in {place}")
            all_text = False
    return ("" if all_text else "\n").join(text for text in texts if text)


def _shortened(value: object) -> str:
    """Write a value as JSON; of a long one, or one with binary data, its type alone."""
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= MAX_KEPT and "base64" not in text and "data:" not in text:
        return text
    return f"[{str(as_object(value).get('type', 'value'))[:40]}]"


def _call(call: object, write_arguments: WriteArguments) -> dict[str, Any] | None:
    """Return a call in OpenAI's form; None where it has no name, or arguments that are no JSON object."""
    outer = as_object(call)
    fields = as_object(outer.get("function", outer))
    name, arguments = fields.get("name"), fields.get("arguments")
    if isinstance(arguments, str):
        try:
            require_few_values(arguments)
            arguments = json.loads(arguments or "null")
        except (ValueError, RecursionError):
            return None
    # A call without arguments, as several servers write it.
    values: object = {} if arguments is None else arguments
    if not isinstance(name, str) or not name or not isinstance(values, dict):
        return None
    id = outer.get("id")
    written = {"name": name, "arguments": write_arguments(cast(dict[str, Any], values))}
    return {"type": "function", "function": written, **({"id": str(id)} if id else {})}
