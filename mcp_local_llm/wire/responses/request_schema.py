"""The fields of a body of the Responses API that chat completions do not have; `read_request` reads them. Pure."""

from typing import Annotated, Any, Literal

from pydantic import Field

from mcp_local_llm.values.chat import MaxTokens
from mcp_local_llm.wire.openai.request_schema import GenerationRequest, ToolChoiceIn
from mcp_local_llm.wire.request_object import RequestObject


class ItemIn(RequestObject):
    """An item of the input: a message (with or without `type`), a call, its output, or reasoning."""

    type: str | None = None
    role: Literal["system", "developer", "user", "assistant", "tool"] | None = None
    content: str | list[dict[str, Any]] | None = None


class TextIn(RequestObject):
    """The form of the answer: `{"type": "json_schema", "schema": {...}}`, `json_object` or `text`."""

    format: dict[str, Any] | None = None


class ResponsesRequest(GenerationRequest):
    """The body of `POST /v1/responses`; `input_tokens` has the same."""

    input: Annotated[str, Field(min_length=1)] | Annotated[list[ItemIn], Field(min_length=1)]
    instructions: str | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: ToolChoiceIn = None
    parallel_tool_calls: bool | None = None
    text: TextIn | None = None
    max_output_tokens: MaxTokens | None = None
