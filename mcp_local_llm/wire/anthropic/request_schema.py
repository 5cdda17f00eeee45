"""The fields of a body of the Messages API beside the conversation; ranges come from `values/chat.py`. Pure."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from mcp_local_llm.values.chat import LONGEST_ANSWER, MaxThinkingTokens, MaxTokens, Temperature, TopK, TopP
from mcp_local_llm.wire.openai.request_schema import StopsIn
from mcp_local_llm.wire.request_object import RequestObject


def _lowered(value: object) -> object:
    """Lower a limit that is above the largest one: clients ask for what Anthropic's models can write."""
    return LONGEST_ANSWER if isinstance(value, int | float) and value > LONGEST_ANSWER else value


ROLES = ("user", "assistant", "system")
"""Of a message; the last one is for instructions in the middle of a conversation."""

_BLOCK = {
    "type": "object",
    "properties": {"type": {"type": "string"}, "text": {"type": "string"}},
    "required": ["type"],
}
_TEXT_OR_BLOCKS: dict[str, Any] = {"anyOf": [{"type": "string"}, {"type": "array", "items": _BLOCK}]}

Turn = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "properties": {"role": {"enum": list(ROLES)}, "content": _TEXT_OR_BLOCKS},
            "required": ["role", "content"],
        }
    ),
]
"""A message; `conversation` reads it."""
System = Annotated[
    str | list[dict[str, Any]] | None, WithJsonSchema({"anyOf": [*_TEXT_OR_BLOCKS["anyOf"], {"type": "null"}]})
]
"""The system prompt; `conversation` reads it."""


class ThinkingIn(RequestObject):
    """The switch of thinking; `adaptive` leaves it to the model."""

    type: Literal["enabled", "adaptive", "disabled"]
    budget_tokens: Annotated[MaxThinkingTokens, BeforeValidator(_lowered)] | None = None


class FormatIn(RequestObject):
    """The form of the answer."""

    type: Literal["json_schema", "text"]
    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")


class OutputConfigIn(RequestObject):
    """What the answer looks like; `effort` has no counterpart here."""

    format: FormatIn | None = None


class ThreadIn(RequestObject):
    """A conversation that a server would keep: `create` begins one, `continue` sends only what is new in it."""

    type: str | None = None


class MessagesRequest(RequestObject):
    """The body of `POST /v1/messages`; `count_tokens` has the same without `max_tokens`.

    `output_format` is the earlier name of `output_config.format`.
    """

    model: str | None = None
    messages: Annotated[list[Turn], Field(min_length=1)]
    system: System = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Mapping[str, Any] | None = None
    stream: bool | None = None
    thinking: ThinkingIn | None = None
    output_config: OutputConfigIn | None = None
    output_format: FormatIn | None = None
    thread: ThreadIn | None = None
    max_tokens: Annotated[MaxTokens, BeforeValidator(_lowered)] | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: TopK | None = None
    stop_sequences: StopsIn = None
