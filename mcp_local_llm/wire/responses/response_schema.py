"""The schema of what `write_response` writes, for the published description. Pure."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from mcp_local_llm.values.chat import FinishReason
from mcp_local_llm.wire.openai.response_schema import Extension
from mcp_local_llm.wire.responses.read_request import ECHOED


class OutputItem(BaseModel):
    """Reasoning, a message, or a call, each with the members that OpenAI's API has."""

    type: Literal["reasoning", "message", "function_call", "custom_tool_call"]
    id: str
    status: Literal["completed"]
    role: Literal["assistant"] = "assistant"
    content: list[dict[str, Any]] = []
    summary: list[dict[str, Any]] = []
    encrypted_content: None = None
    call_id: str = ""
    name: str = ""
    namespace: str = ""
    arguments: str = ""
    input: str = ""


class CachedInput(BaseModel):
    """Input tokens that were in the KV cache."""

    cached_tokens: int
    cache_write_tokens: int


class ReasoningOutput(BaseModel):
    """Tokens of reasoning, which count as output."""

    reasoning_tokens: int


class ResponseUsage(BaseModel):
    """Token counts."""

    input_tokens: int
    input_tokens_details: CachedInput
    output_tokens: int
    output_tokens_details: ReasoningOutput
    total_tokens: int


class ResponseExtension(Extension):
    """Our own member; `finish_reason` tells an answer that was cut, which ends as `completed` as well."""

    finish_reason: FinishReason


def _with_echo(schema: dict[str, Any]) -> None:
    """Add the fields of the request that the answer repeats."""
    schema["properties"] |= dict.fromkeys(ECHOED, True)
    schema["required"] += ECHOED


class ResponseObject(BaseModel):
    """The answer of `POST /v1/responses`."""

    model_config = ConfigDict(json_schema_extra=_with_echo)

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["completed"]
    model: str
    output: list[OutputItem]
    error: None
    incomplete_details: None
    usage: ResponseUsage
    background: Literal[False]
    previous_response_id: None
    store: Literal[False]
    truncation: Literal["disabled"]
    local_llm: ResponseExtension


class ResponseInputTokens(BaseModel):
    """The answer of `POST /v1/responses/input_tokens`."""

    object: Literal["response.input_tokens"]
    input_tokens: int
