"""The member `input` of a Responses request, written as the messages of a chat completion. Pure.

What belongs to one turn of the model comes in several items here: its text, and each of its calls.
"""

import json
from dataclasses import dataclass, field
from typing import Any, cast

from mcp_local_llm.values.errors import first_of, shortened
from mcp_local_llm.wire.json_values import JsonObject, as_object, as_text
from mcp_local_llm.wire.openai.errors import ParameterError
from mcp_local_llm.wire.responses.tool_names import CUSTOM_INPUT, ToolNames

IMAGE_LEFT_OUT = "[image left out: this model reads text only]"

_TEXT_PARTS = ("input_text", "output_text", "text", "reasoning_text", "summary_text")
_IMAGE_PARTS = ("input_image", "image_url", "computer_screenshot")
_CALLS = ("function_call", "custom_tool_call")
_OUTPUTS = ("function_call_output", "custom_tool_call_output")
_BOOKKEEPING = ("type", "id", "call_id", "status", "created_by", "caller")
_KNOWN = "message, function_call, function_call_output, custom_tool_call, custom_tool_call_output and reasoning"


@dataclass
class WrittenTurn:
    """A message of a chat completion, and where its text and its calls stand in the request."""

    message: dict[str, Any]
    place: str
    content: str = "content"
    calls: list[str] = field(default_factory=list[str])


class InputReader:
    """Reads items one by one.

    Attributes:
        turns: the messages so far.
    """

    def __init__(self, names: ToolNames) -> None:
        self._names = names
        self._images = 0
        self._left_out: list[str] = []
        self._thought = ""
        self.turns: list[WrittenTurn] = []

    def read(self, given: object) -> None:
        """Read the whole member.

        Raises:
            ParameterError: an item refers to what is not stored here, or is none of the known ones.
        """
        if isinstance(given, str):
            self._add({"role": "user", "content": given}, "input")
            return
        if not isinstance(given, list):
            raise ParameterError("Invalid value for 'input': it must be a text or a list of items.", "input")
        items = cast(list[object], given)
        for index, item in enumerate(items):
            if not isinstance(item, dict):
                raise ParameterError(f"Invalid value for 'input[{index}]': it must be an object.", f"input[{index}]")
            self._item(as_object(cast(object, item)), f"input[{index}]", last=index == len(items) - 1)

    def warnings(self) -> list[str]:
        """Return what was left out, one sentence each."""
        told = list[str]()
        if self._images:
            told.append(f"Images are left out, because models here read text only: {self._images}.")
        if self._left_out:
            told.append(f"Items of a type that is not read here were left out: {first_of(self._left_out, 5)}.")
        return told

    def _item(self, item: JsonObject, place: str, *, last: bool) -> None:
        kind = as_text(item.get("type")) or ("message" if "role" in item else "")
        if kind == "message":
            self._message(item, place)
        elif kind == "reasoning":
            # It belongs to the turn whose text or calls follow; what a summary says is no thought of a model of ours.
            self._thought += as_text(item.get("content"))
        elif kind == "item_reference" or (not kind and "id" in item):
            raise ParameterError(
                f"{place} refers to an item that this server did not store. Send the item itself; clients do so with "
                "store: false.",
                place,
            )
        elif kind in _CALLS or (kind.endswith("_call") and "call_id" in item):
            self._call(item, kind, place)
        elif kind in _OUTPUTS or (kind.endswith("_output") and "call_id" in item):
            self._output(item, place)
        elif last:
            param = f"{place}.type"
            told = f"items of type {shortened(kind)!r} are" if kind else "an item without a type is"
            raise ParameterError(f"{param}: {told} not read here. Known are {_KNOWN}.", param)
        else:
            self._left_out.append(f"{kind[:40]!r} in {place}")

    def _add(self, message: dict[str, Any], place: str, content: str = "content") -> WrittenTurn:
        if message.get("role") == "assistant" and self._thought:
            message["reasoning_content"] = self._thought
        self._thought = ""
        self.turns.append(WrittenTurn(message, place, content))
        return self.turns[-1]

    def _message(self, item: JsonObject, place: str) -> None:
        named = {key: item[key] for key in ("role", "name", "tool_call_id") if key in item}
        self._add({**named, "content": self._content(item.get("content"))}, place)

    def _call(self, item: JsonObject, kind: str, place: str) -> None:
        """Write a call into the turn of the model that it belongs to."""
        namespace = as_text(item.get("namespace")) or None
        name, arguments = item.get("name"), item.get("arguments")
        if kind == "custom_tool_call":
            arguments = {CUSTOM_INPUT: as_text(item.get("input"))}
        elif kind != "function_call":
            # A call of one of OpenAI's own tools, such as local_shell_call: its members are its arguments.
            name = name or kind.removesuffix("_call")
            arguments = arguments or {key: value for key, value in item.items() if key not in _BOOKKEEPING}
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments, ensure_ascii=False)
        if isinstance(name, str) and name:
            name = self._names.in_prompt(name, namespace)
        if not self.turns or self.turns[-1].message.get("role") != "assistant":
            self._add({"role": "assistant", "content": None}, place)
        turn = self.turns[-1]
        if self._thought:
            turn.message.setdefault("reasoning_content", self._thought)
            self._thought = ""
        call = {"id": item.get("call_id"), "function": {"name": name, "arguments": arguments}}
        turn.message.setdefault("tool_calls", []).append(call)
        turn.calls.append(place)

    def _output(self, item: JsonObject, place: str) -> None:
        output = item.get("output")
        if isinstance(output, dict) and as_object(cast(object, output)).get("type") in _IMAGE_PARTS:
            output = [cast(object, output)]
        elif isinstance(output, dict | int | float):
            output = json.dumps(output, ensure_ascii=False)
        self._add(
            {"role": "tool", "tool_call_id": item.get("call_id"), "content": self._content(output)}, place, "output"
        )

    def _content(self, content: object) -> object:
        return [self._part(part) for part in cast(list[object], content)] if isinstance(content, list) else content

    def _part(self, part: object) -> object:
        """Write a part as one of a chat completion; one that cannot be read stays, and is refused or told of there."""
        fields = as_object(part)
        kind = as_text(fields.get("type"))
        if kind in _TEXT_PARTS:
            return {"type": "text", "text": fields.get("text")}
        if kind == "refusal":
            return {"type": "text", "text": fields.get("refusal")}
        if kind in _IMAGE_PARTS:
            self._images += 1
            return {"type": "text", "text": IMAGE_LEFT_OUT}
        return part
