"""The schema of what `write_response` and `errors` write, for the published description. Pure."""

from typing import Any, Literal

from pydantic import BaseModel

from mcp_local_llm.wire.openai.response_schema import Extension


class TextBlock(BaseModel):
    """A text of the answer."""

    type: Literal["text"]
    text: str


class ThinkingBlock(BaseModel):
    """Reasoning; its signature is empty."""

    type: Literal["thinking"]
    thinking: str
    signature: str


class ToolUseBlock(BaseModel):
    """A call of a tool by the model."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


class OutputDetails(BaseModel):
    """Tokens of reasoning, which count as output."""

    thinking_tokens: int


class MessageUsage(BaseModel):
    """Token counts; `input_tokens` are those that were not in the KV cache."""

    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int
    output_tokens_details: OutputDetails


class MessageObject(BaseModel):
    """The answer of `POST /v1/messages`."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[TextBlock | ThinkingBlock | ToolUseBlock]
    stop_reason: Literal["end_turn", "max_tokens", "stop_sequence", "tool_use"]
    stop_sequence: str | None
    usage: MessageUsage
    local_llm: Extension


class InputTokens(BaseModel):
    """The answer of `POST /v1/messages/count_tokens`."""

    input_tokens: int


class AnthropicErrorDetails(BaseModel):
    """What happened and what to do."""

    type: str
    message: str
    details: dict[str, str] = {}


class AnthropicError(BaseModel):
    """The error envelope of the Messages API."""

    type: Literal["error"]
    error: AnthropicErrorDetails
    request_id: str
