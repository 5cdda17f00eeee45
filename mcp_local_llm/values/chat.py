"""The values of one chat: request, result and chunks, and the ranges of their numbers.

Pure data; it must not know engines, protocols or files. Ranges are declared here once, as `Annotated` aliases; every
door builds its schema from them, so that it refuses a value out of range by name.
"""

import math
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from mcp_local_llm.values.numbers import NO_BOOLEAN
from mcp_local_llm.values.placeholders import filled_in
from mcp_local_llm.values.progress import Progress

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls"]

REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")
"""Fields of a message in which servers send reasoning: DeepSeek and llama.cpp, then vLLM, mlx_lm and Ollama's OpenAI
API, then others."""

LONGEST_ANSWER = 131_072
"""The largest limit of tokens that a request may set."""
MaxTokens = Annotated[int, Field(ge=1, le=LONGEST_ANSWER), NO_BOOLEAN]
"""Tokens of the answer, reasoning included; 1 to 131072."""
MaxThinkingTokens = Annotated[int, Field(ge=0, le=LONGEST_ANSWER), NO_BOOLEAN]
"""Tokens of reasoning before the block is closed by force; 0 to 131072."""
Temperature = Annotated[float, Field(ge=0.0, le=2.0, allow_inf_nan=False), NO_BOOLEAN]
"""0 (greedy) to 2."""
TopP = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False), NO_BOOLEAN]
"""Nucleus sampling; above 0, up to 1 (off)."""
TopK = Annotated[int, Field(ge=0, le=1_000_000), NO_BOOLEAN]
"""Number of the likeliest tokens that are sampled from; 0 (off) to 1000000."""
MinP = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False), NO_BOOLEAN]
"""Least probability of a token, as a share of the likeliest token's; 0 (off) to 1."""
RepetitionPenalty = Annotated[float, Field(ge=0.5, le=2.0, allow_inf_nan=False), NO_BOOLEAN]
"""Factor that makes tokens of the answer less likely to be repeated; 0.5 to 2, 1 is off."""
OccurrencePenalty = Annotated[float, Field(ge=-2.0, le=2.0, allow_inf_nan=False), NO_BOOLEAN]
"""Subtracted from the logits of tokens of the answer, per occurrence or once; -2 to 2, 0 is off."""
RepetitionLimit = Annotated[int, Field(ge=0, le=131_072), NO_BOOLEAN]
"""Tokens of perfect repetition that end an answer; 0 (never) to 131072."""
Seed = Annotated[int, Field(ge=0, le=2**32 - 1), NO_BOOLEAN]
"""Seed of this request's own random numbers; 0 to 4294967295."""
StopString = Annotated[str, Field(min_length=1, max_length=200)]
"""One stop string, 1 to 200 characters."""


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


StopStrings = Annotated[list[StopString], Field(max_length=8), BeforeValidator(_as_list)]
"""At most 8 stop strings; one may stand without a list."""


class ToolCall(BaseModel):
    """A call of a function by the model: the function's name and the arguments (a JSON object)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(min_length=1)
    arguments: dict[str, Any] = Field(default_factory=dict)
    id: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, value: object) -> object:
        """Accept OpenAI's `{"type": "function", "function": {...}}` as well."""
        if not isinstance(value, dict):
            return value
        call = filled_in(cast(dict[str, Any], value))
        if "name" not in call and isinstance(call.get("function"), dict):
            call = {"id": call.get("id"), **filled_in(call["function"])}
        return call


class ToolSpec(BaseModel):
    """A function that the model may call; `parameters` is its JSON Schema (an object)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(min_length=1, max_length=128)
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, value: object) -> object:
        """Accept OpenAI's wrapper and MCP's `inputSchema` as well."""
        if not isinstance(value, dict):
            return value
        spec = filled_in(cast(dict[str, Any], value))
        if "name" not in spec and isinstance(spec.get("function"), dict):
            spec = filled_in(spec["function"])
        for alias in ("inputSchema", "input_schema"):
            if "parameters" not in spec and alias in spec:
                spec = {**spec, "parameters": spec[alias]}
        return spec

    def openai(self) -> dict[str, Any]:
        """Return the tool in the format of OpenAI's API and of chat templates."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}


class Message(BaseModel):
    """One turn of a conversation. A `tool` turn holds the result of a call, `tool_calls` belong to `assistant`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role
    content: str = ""
    tool_calls: list[ToolCall] = Field(default_factory=list[ToolCall])
    tool_call_id: str | None = None
    name: str | None = None
    reasoning: SkipJsonSchema[str] = ""
    """The thought of an earlier answer, as programs send it back; the schemas that models read lack it."""

    @model_validator(mode="before")
    @classmethod
    def _drop_placeholders(cls, value: object) -> object:
        return filled_in(cast(dict[str, Any], value)) if isinstance(value, dict) else value


@dataclass(frozen=True)
class SamplingParams:
    """Sampling parameters of one request. None means the model's own default (`generation_config.json`).

    Attributes:
        repetition_penalty, frequency_penalty, presence_penalty: count the tokens of the answer, not of the prompt.
        repetition_limit: tokens of perfect repetition after which the answer ends; None is the engine's default.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_limit: int | None = None

    def over(self, defaults: "SamplingParams") -> "SamplingParams":
        """Return these values, and the values of `defaults` where a field of this object is unset."""
        own = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return replace(defaults, **{name: value for name, value in own.items() if value not in (None, ())})


@dataclass(frozen=True)
class ChatRequest:
    """Everything an engine needs for one answer.

    Attributes:
        messages: the conversation, oldest first; the model answers the last one.
        thinking: True or False sets the template's switch, None leaves the model's default.
        max_thinking_tokens: tokens of reasoning after which the block is closed by force; 0 closes it at once.
        response_schema: JSON Schema that the answer (after the reasoning) validates against.
        stream: send text token by token, as soon as later tokens cannot change it; otherwise only progress is sent.
        client: name of the client; waiting requests of several clients take turns.
        prompt: a text that the model continues without chat template and parser; `messages` is then empty.
        holds_files: text of the user's files is in it, which leaves this machine only where the settings say so.
        lower_max_tokens: where `max_tokens` is more than is possible, lower it with a warning instead of refusing.
        must_call: names of tools; the answer is a call of one of them. Without any, the model is free to call.
        parallel_tool_calls: False allows one call at most.
        deferred_tools: tools that may be called as well, but that no prompt lists: a message describes them.
    """

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    sampling: SamplingParams = SamplingParams()
    thinking: bool | None = None
    stream: bool = False
    client: str = ""
    max_thinking_tokens: int | None = None
    response_schema: dict[str, Any] | None = None
    prompt: str | None = None
    holds_files: bool = False
    lower_max_tokens: bool = False
    must_call: tuple[str, ...] = ()
    parallel_tool_calls: bool = True
    deferred_tools: tuple[ToolSpec, ...] = ()

    @property
    def callable_tools(self) -> tuple[ToolSpec, ...]:
        """All tools that may be called, whether the prompt lists them or a message describes them."""
        return (*self.tools, *self.deferred_tools)

    @property
    def characters(self) -> int:
        """Characters of everything that the prompt is made of, without what a chat template adds."""
        if self.prompt is not None:
            return len(self.prompt)
        calls = [call for message in self.messages for call in message.tool_calls]
        texts = [message.content for message in self.messages] + [str(item) for item in (*calls, *self.tools)]
        return sum(map(len, texts))


@dataclass(frozen=True)
class Usage:
    """Token counts. `cached_tokens` are prompt tokens from the KV cache; reasoning counts as completion."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0


CHARACTERS_PER_TOKEN = 1.5
"""For servers whose tokenizer is not known. Logs and lock files were measured at 1.57, sources at 2.93."""


def estimated_tokens(characters: int) -> int:
    """Estimate the tokens of a text without a tokenizer; rather too many than too few."""
    return math.ceil(characters / CHARACTERS_PER_TOKEN)


@dataclass(frozen=True)
class TokenCounts:
    """Tokens of several requests or texts.

    Attributes:
        model: id of the model whose tokenizer counted.
        tokens: one number for each of them, in their order.
        window: longest prompt and answer together in tokens; None where the model names none.
        estimated: the model's server does not count, so the numbers are estimated from the characters.
        places: answers that the engine computes side by side; None where its server decides that.
    """

    model: str
    tokens: tuple[int, ...]
    window: int | None
    estimated: bool = False
    places: int | None = None


@dataclass(frozen=True)
class Timings:
    """Seconds of each phase; `decode_s` runs from the first token to the last."""

    queued_s: float = 0.0
    load_s: float = 0.0
    prefill_s: float = 0.0
    decode_s: float = 0.0


@dataclass(frozen=True)
class ChatResult:
    """A finished answer.

    Attributes:
        text: the answer without reasoning and without tool calls.
        reasoning: text of the reasoning block; never part of the answer.
        thinking_closed: False where the reasoning was cut off before an answer began.
        looped: the engine ended the answer (finish_reason `length`) because it only repeated itself.
        schema_met: whether the text validates against `response_schema`; None where the request has none.
        stop_string: the stop string that ended the answer; empty where none did.
        schema_advice: a sentence for an answer that does not validate: its fault, or, where it was cut off in what may
            go on without end, how to bound the schema.
        warnings: one sentence each, for the caller.
        switch_note: the warning that another session changed the model, which people must see; empty for none.
    """

    text: str
    reasoning: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: FinishReason
    model: str
    usage: Usage
    timings: Timings
    thinking_closed: bool = True
    warnings: tuple[str, ...] = field(default=())
    looped: bool = False
    schema_met: bool | None = None
    switch_note: str = ""
    schema_advice: str = ""
    stop_string: str = ""


@dataclass(frozen=True)
class ChatChunk:
    """One step of an answer: progress or text; the last chunk holds the result.

    Attributes:
        text, reasoning: text since the last chunk that later tokens cannot change; only with `stream`. The joined texts
            are the beginning of the result's fields.
        model: id of the model that answers; set by `llm`, not by the engines.
    """

    progress: Progress | None = None
    text: str = ""
    reasoning: str = ""
    result: ChatResult | None = None
    model: str = ""
