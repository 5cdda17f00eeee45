"""The schema of the bodies that clients send to our server; ranges come from `values/chat.py`. Pure."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, TypeAdapter, WithJsonSchema

from mcp_local_llm.values.chat import (
    REASONING_FIELDS,
    MaxThinkingTokens,
    MaxTokens,
    MinP,
    OccurrencePenalty,
    RepetitionLimit,
    RepetitionPenalty,
    Seed,
    StopString,
    StopStrings,
    Temperature,
    ToolSpec,
    TopK,
    TopP,
)
from mcp_local_llm.wire.json_values import as_text
from mcp_local_llm.wire.request_object import RequestObject


def _as_parts(content: object) -> object:
    """Write a plain text, and its absence, as a list of parts."""
    if content is None:
        return []
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


StopsIn = Annotated[StopStrings | None, WithJsonSchema(TypeAdapter(StopString | StopStrings | None).json_schema())]
"""At most 8 stop strings; one may stand without a list."""

_CHOICES = {"anyOf": [{"type": ["object", "null"]}, {"enum": ["none", "auto", "required", "any"]}]}
ToolChoiceIn = Annotated[Any, WithJsonSchema(_CHOICES)]
"""Which tools may be called, and which one must; `tool_choice` reads it."""


class FunctionCallIn(RequestObject):
    """The function of a call in the history; `arguments` is JSON text."""

    name: str = Field(min_length=1)
    arguments: str = "{}"


class ToolCallIn(RequestObject):
    """A call that the assistant made in the history."""

    id: str | None = None
    type: Literal["function"] = "function"
    function: FunctionCallIn


class ContentPart(RequestObject):
    """A part of a message; only text is understood."""

    type: str
    text: str = ""


class MessageIn(RequestObject):
    """One turn; `developer` is OpenAI's newer word for `system`, and `reasoning` the thought of an earlier answer."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[
        list[ContentPart], BeforeValidator(_as_parts, json_schema_input_type=str | list[ContentPart] | None)
    ] = Field(default_factory=list[ContentPart])
    name: str | None = None
    tool_calls: list[ToolCallIn] | None = None
    tool_call_id: str | None = None
    reasoning: Annotated[str, BeforeValidator(as_text, json_schema_input_type=Any)] = Field(
        "", validation_alias=AliasChoices(*REASONING_FIELDS)
    )


class ToolIn(RequestObject):
    """A function that the model may call."""

    type: Literal["function"] = "function"
    function: Annotated[dict[str, Any], WithJsonSchema(ToolSpec.model_json_schema())] = Field(default_factory=dict)


class StreamOptions(RequestObject):
    """What a stream tells beside the answer."""

    include_usage: bool = False
    include_text: bool = True
    """Ours: false sends progress only, and the whole text at the end."""


class JsonSchemaIn(RequestObject):
    """The schema of a structured answer."""

    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")


class ResponseFormat(RequestObject):
    """The form of the answer; llama.cpp and others have the schema beside the type."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaIn | None = None
    beside: dict[str, Any] | None = Field(default=None, alias="schema")


class GenerationRequest(RequestObject):
    """The fields that the bodies of OpenAI's APIs have in common.

    Besides OpenAI's fields: `top_k`, `min_p`, `repetition_penalty` as vLLM and mlx_lm.server have them;
    `repetition_limit` is ours.
    """

    model: str | None = None
    stream: bool | None = None
    max_tokens: MaxTokens | None = None
    max_completion_tokens: MaxTokens | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: TopK | None = None
    min_p: MinP | None = None
    seed: Seed | None = None
    stop: StopsIn = None
    frequency_penalty: OccurrencePenalty | None = None
    presence_penalty: OccurrencePenalty | None = None
    repetition_penalty: RepetitionPenalty | None = None
    repetition_limit: RepetitionLimit | None = None


class ChatCompletionRequest(GenerationRequest):
    """The body of `POST /v1/chat/completions`, without the switches for thinking (`thinking_switches`)."""

    messages: Annotated[list[MessageIn], Field(min_length=1)]
    stream_options: StreamOptions | None = None
    tools: list[ToolIn] | None = None
    tool_choice: ToolChoiceIn = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    max_thinking_tokens: MaxThinkingTokens | None = None
