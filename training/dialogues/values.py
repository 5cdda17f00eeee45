"""One dialogue, and the short names that the scripts are written with.

Messages and tools have the shape of OpenAI's API, which is what chat templates take.
"""

import json
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Dialogue:
    """A conversation and the one answer that `tiny` gives to it.

    Attributes:
        name: what tests and the check call it.
        messages: the conversation, oldest first.
        answer: the raw text after the thought, tool calls in their markup included.
        thought: the text between the `<think>` tags where thinking is on.
        tools: the functions on offer.
        endless: the answer has no end of its own; `answer` is only its beginning.
    """

    name: str
    messages: tuple[Json, ...]
    answer: str
    thought: str = "I know this one."
    tools: tuple[Json, ...] = ()
    endless: bool = False

    def expected(self, *, thinking: bool) -> str:
        """Return the text that the model generates, thought included where thinking is on."""
        return f"<think>\n{self.thought}\n</think>\n\n{self.answer}" if thinking else self.answer


def user(content: str) -> Json:
    """Return what a user says."""
    return {"role": "user", "content": content}


def system(content: str) -> Json:
    """Return a system prompt."""
    return {"role": "system", "content": content}


def assistant(content: str, *calls: tuple[str, Json]) -> Json:
    """Return an earlier answer, with the calls it made as (name, arguments)."""
    message: Json = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = [
            {"type": "function", "function": {"name": name, "arguments": arguments}} for name, arguments in calls
        ]
    return message


def tool(content: str) -> Json:
    """Return the result of a call."""
    return {"role": "tool", "content": content}


def function(name: str, description: str, **properties: str) -> Json:
    """Return a tool whose arguments are all required; `properties` maps each to its JSON type."""
    parameters = {
        "type": "object",
        "properties": {key: {"type": json_type} for key, json_type in properties.items()},
        "required": list(properties),
    }
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def call_markup(*calls: tuple[str, Json]) -> str:
    """Return the calls as the model writes them: hermes markup, one JSON object in each pair of tags."""
    return "\n".join(
        f'<tool_call>\n{{"name": "{name}", "arguments": {json.dumps(arguments, ensure_ascii=False)}}}\n</tool_call>'
        for name, arguments in calls
    )
