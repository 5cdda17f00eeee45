"""The schema of what `write_response`, `completions` and `errors` write, for the published description. Pure."""

from typing import Literal

from pydantic import BaseModel

from mcp_local_llm.values.chat import FinishReason, Timings


class Extension(BaseModel):
    """Our own member of an answer: timings in seconds, warnings, and how the answer ended."""

    timings: Timings
    thinking_closed: bool
    looped: bool
    schema_met: bool | None
    stop_string: str
    warnings: list[str]


class PromptDetails(BaseModel):
    """Prompt tokens that were in the KV cache."""

    cached_tokens: int


class CompletionDetails(BaseModel):
    """Tokens of reasoning, which count as completion."""

    reasoning_tokens: int


class UsageOut(BaseModel):
    """Token counts."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails


class CalledFunction(BaseModel):
    """The function of a call; `arguments` is the text of a JSON object."""

    name: str
    arguments: str


class ToolCallOut(BaseModel):
    """A call of a function by the model."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class AnswerMessage(BaseModel):
    """The answer; both members for reasoning hold the same, because each client reads one of them."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning: str = ""
    reasoning_content: str = ""
    tool_calls: list[ToolCallOut] = []


class ChatChoice(BaseModel):
    """The only choice."""

    index: Literal[0]
    message: AnswerMessage
    logprobs: None
    finish_reason: FinishReason


class TextChoice(BaseModel):
    """The only choice."""

    index: Literal[0]
    text: str
    logprobs: None
    finish_reason: FinishReason


class ChatCompletion(BaseModel):
    """The answer of `POST /v1/chat/completions`."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: UsageOut
    local_llm: Extension


class TextCompletion(BaseModel):
    """The answer of `POST /v1/completions`."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: UsageOut
    local_llm: Extension


class ModelObject(BaseModel):
    """A name that a request can send."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelObjects(BaseModel):
    """The answer of `GET /v1/models`: the resident model, roles and profiles, then the other models."""

    object: Literal["list"]
    data: list[ModelObject]


class ErrorDetails(BaseModel):
    """What happened and what to do; `param` names the field of the request that is wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(BaseModel):
    """The error envelope of OpenAI's APIs."""

    error: ErrorDetails
