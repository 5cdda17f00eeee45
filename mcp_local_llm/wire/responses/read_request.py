"""Reads the body of a `POST /responses` that a client sends to our server. Pure.

The body is written as that of a chat completion, so that ranges, switches and refusals are the same in both APIs; what
is refused is named as this API names it. What would need answers that are stored here is refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from mcp_local_llm.values.placeholders import filled_in
from mcp_local_llm.wire.json_values import as_object
from mcp_local_llm.wire.openai.errors import ParameterError
from mcp_local_llm.wire.openai.read_request import IncomingRequest, incoming_request
from mcp_local_llm.wire.request_object import body_object
from mcp_local_llm.wire.responses.input_items import InputReader, WrittenTurn
from mcp_local_llm.wire.responses.tool_names import ToolNames, function_choice, offered_functions

IGNORED = frozenset(
    {
        "access_programs",
        "background",
        "background_options",
        "client_metadata",
        "include",
        "max_tool_calls",
        "prompt_cache_options",
        "stream_options",
        "truncation",
    }
)
"""Fields of this API alone that cannot change what the answer says; `read_request` of chat completions has the rest."""

STORED: Mapping[str, str] = {
    "previous_response_id": "nothing is stored here. Send the whole conversation as input",
    "conversation": "nothing is stored here. Send the whole conversation as input",
    "prompt": "no prompts are stored here. Send its text as instructions",
}
"""Fields that refer to what a server stores → why they are refused."""

MOVED: Mapping[str, str] = {"messages": "input", "response_format": "text.format"}
"""Fields of chat completions → where this API has them."""

ECHOED: Mapping[str, object] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "user": None,
}
"""Fields of a request that its answer repeats → what stands there where the request has none."""

_FIELDS: Mapping[str, str] = {
    "max_completion_tokens": "max_output_tokens",
    "response_format.json_schema": "text.format.schema",
    "response_format": "text.format",
}
_PLACE = re.compile(
    r"messages\[(\d+)\](?:\.tool_calls\[(\d+)\](?:\.function)?|(\.content))?|tools\[(\d+)\](?:\.function)?|"
    + "|".join(map(re.escape, _FIELDS))
)


@dataclass(frozen=True)
class IncomingResponse(IncomingRequest):
    """A request, and what its answer needs of it.

    Attributes:
        names: the client's own names of the tools.
        echo: members that the answer repeats.
    """

    names: ToolNames = field(default_factory=ToolNames)
    echo: Mapping[str, Any] = field(default_factory=dict[str, Any])


def incoming_response(body: object) -> IncomingResponse:
    """Check a decoded JSON body and turn it into a request.

    Raises:
        ParameterError: a field is unsupported or wrong; `param` names it.
    """
    given = filled_in(body_object(body))
    _refuse(given)
    tools = given.get("tools")
    if not isinstance(tools, list | None):
        raise ParameterError("Invalid value for 'tools': it must be a list.", "tools")
    if not isinstance(given.get("text"), dict | None):
        raise ParameterError("Invalid value for 'text': it must be an object.", "text")
    offered = offered_functions(cast(list[object], tools or []))
    turns = InputReader(offered.names)
    _read_conversation(given, turns)
    chat = {name: value for name, value in given.items() if name not in IGNORED | {"input", "instructions", "text"}}
    chat |= {
        "messages": [turn.message for turn in turns.turns],
        "tools": offered.functions,
        "tool_choice": function_choice(given.get("tool_choice"), offered.names),
        "max_completion_tokens": chat.pop("max_output_tokens", chat.get("max_completion_tokens")),
        "response_format": as_object(given.get("text")).get("format"),
    }
    names = _Places(turns.turns, offered.places)
    try:
        read = incoming_request(chat)
    except ParameterError as error:
        raise ParameterError(names.renamed(str(error)), names.renamed(error.param)) from error
    warnings = (*offered.warnings, *turns.warnings(), *map(names.renamed, read.warnings))
    echo = {name: given.get(name, nothing) for name, nothing in ECHOED.items()}
    return IncomingResponse(read.request, read.model, read.stream, True, warnings, offered.names, echo)


def _refuse(given: Mapping[str, Any]) -> None:
    """Refuse what needs a store, what this API has elsewhere, and a request without input."""
    for name, here in MOVED.items():
        if name in given:
            raise ParameterError(f"Unsupported parameter: '{name}'. In this API it is '{here}'.", name)
    for name, reason in STORED.items():
        if name in given:
            raise ParameterError(f"{name} is not supported by this server: {reason}.", name)
    if given.get("background", False) is not False:
        raise ParameterError(
            "background is not supported by this server: an answer ends with its connection. Leave it out.",
            "background",
        )
    if "input" not in given:
        raise ParameterError("Missing required parameter: 'input'.", "input")


def _read_conversation(given: Mapping[str, Any], turns: InputReader) -> None:
    """Read instructions and input as turns."""
    if (instructions := given.get("instructions")) is not None:
        if not isinstance(instructions, str):
            raise ParameterError("Invalid value for 'instructions': it must be a text.", "instructions")
        turns.turns.append(WrittenTurn({"role": "system", "content": instructions}, "instructions"))
    turns.read(given["input"])
    if not turns.turns:
        raise ParameterError("Missing required parameter: 'input'. It needs at least 1 message.", "input")


@dataclass(frozen=True)
class _Places:
    """Names the fields of a chat completion as the client's request has them."""

    turns: list[WrittenTurn]
    tools: tuple[str, ...]

    def renamed(self, text: str) -> str:
        """Return a message with the client's own names of the fields."""
        return _PLACE.sub(self._own, text)

    def _own(self, found: re.Match[str]) -> str:
        message, call, content, tool = found.groups()
        if tool is not None:
            return self.tools[int(tool)] if int(tool) < len(self.tools) else found[0]
        if message is None:
            return _FIELDS[found[0]]
        if int(message) >= len(self.turns):
            return found[0]
        turn = self.turns[int(message)]
        if call is not None and int(call) < len(turn.calls):
            return turn.calls[int(call)]
        return f"{turn.place}.{turn.content}" if content else turn.place
