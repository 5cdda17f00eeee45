"""The results of the verbs other than `chat`: values with a JSON Schema, the same for every door."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mcp_local_llm.values.chat import ChatResult

QuickTestName = Literal["hello", "math", "creative", "code_review", "tools", "thinking", "json"]


class VerbResult(BaseModel):
    """The result of a verb."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelRow(VerbResult):
    """One model of the list."""

    number: int
    """Number of the row; set_model accepts it."""
    name: str
    size_bytes: int | None
    """Of the weights; null where an endpoint serves the model."""
    parameters: int | None
    quantization: str | None
    context_length: int | None
    """Tokens."""
    fits: bool
    fit: str
    """Whether it fits into memory, with the numbers, or why it cannot be chosen."""
    tokens_per_second: float | None
    """Decode speed: the best of the last answers here, else estimated; null where neither is known."""
    speed: str
    prefill_tokens_per_second: float | None = None
    """Speed of reading a prompt: the best of the last answers here; null before the first long prompt."""
    good_for: str
    tools: bool | None = None
    """Whether its chat template knows tools; null where an endpoint serves the model."""
    roles: list[str] = Field(default_factory=list[str])
    resident: bool = False
    chosen: bool = False
    endpoint: str | None = None
    """URL of the server that serves it; null for a model on this machine."""


class ProfileRow(VerbResult):
    """One profile of the settings; its name goes where a model's does."""

    name: str
    model: str
    """The text that names its model."""
    sets: str
    """The other values that it sets, in words."""
    chosen: bool = False


class ModelTable(VerbResult):
    """Every model on this machine, in the order of their numbers."""

    models: list[ModelRow]
    chosen: str | None = None
    """The model that a chat would use now; null while none is chosen."""
    profiles: list[ProfileRow] = Field(default_factory=list[ProfileRow])
    warnings: list[str] = Field(default_factory=list[str])


class Switch(VerbResult):
    """A finished change of model."""

    model: str
    previous: str | None
    """The model that was resident before."""
    loaded: bool
    """False where the model was resident already."""
    seconds: float
    size_bytes: int | None
    """Of the weights; null where an endpoint serves the model."""
    endpoint: str | None = None
    """URL of the server that serves it; null for a model on this machine."""
    available_bytes: int | None
    """Available memory of the machine after the load."""
    notes: list[str] = Field(default_factory=list[str])


class Download(VerbResult):
    """A model that is on this machine now."""

    model: str
    size_bytes: int
    """Of the weights."""
    fetched_bytes: int
    """Bytes that were downloaded; 0 where all files were here."""
    seconds: float
    path: str
    notes: list[str] = Field(default_factory=list[str])


class QuickTest(VerbResult):
    """One scripted question to the chosen model: whether it answers, and whether it follows the instruction."""

    test: QuickTestName
    answered: bool = True
    """The model, its template and the parser work: an answer came."""
    passed: bool
    """The answer follows the instruction; small models often do not."""
    verdict: str
    model: str
    prompt: str
    answer: str
    tool_calls: list[str] = Field(default_factory=list[str])
    reasoning_tokens: int
    completion_tokens: int
    seconds: float
    tokens_per_second: float | None


class Failure(VerbResult):
    """A call that failed; it holds nothing that a caller or a model said."""

    time: str
    """When it ended: UTC, as ISO 8601 writes it."""
    request: str
    """Id of the call, by which the log file names it."""
    door: str
    """Where it came in, such as `mcp chat`."""
    error: str
    """Class of the error."""
    sentence: str


class Status(VerbResult):
    """The state of the model and of the calls; returned at once even while a model loads or answers."""

    state: Literal["unloaded", "loading", "ready", "draining"]
    model: str | None
    """The resident model, or the one being loaded."""
    progress: str | None
    """Progress of the load, in words."""
    chosen: str | None
    """The choice that survives restarts."""
    calls_running: int
    """Calls that are being answered; calls in the queue of an endpoint's server are among them."""
    waiting: int = 0
    """Calls that wait for the load of the model or for a place in the batch."""
    calls_answered: int
    completion_tokens: int
    """Generated since the start."""
    tokens_per_second: float | None
    """Decode speed of the last answer."""
    last_error: str | None
    """Why the last load failed, until one succeeds."""
    memory_total_bytes: int | None
    memory_available_bytes: int | None
    engine_bytes: int | None = None
    """Memory of the engine in this process: weights, KV caches, buffers."""
    prefix_cache_bytes: int | None = None
    """The part of it for KV caches of earlier prompts."""
    pid: int
    """Id of this process."""
    holder_pid: int | None = None
    """Id of the lease owner, which may be this process; null where the lease is free or not shared."""
    clients: int = 0
    """Attached sessions: other processes that have sent a verb to the lease owner and still run."""
    uptime_seconds: float
    version: str
    failures: list[Failure] = Field(default_factory=list[Failure])
    """The last failed calls of this process and of the lease owner, oldest first."""
    notes: list[str] = Field(default_factory=list[str])


@dataclass(frozen=True)
class Counts:
    """The counts of calls and tokens at one moment.

    Attributes:
        asked: all calls; `answered` and `failed` have ended, a cancelled call is neither.
        open: calls that have not ended.
        prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens: of the answered calls, as in `Usage`.
        loads: loads of models, and `load_s`, their seconds altogether.
        tokens_per_second: decode speed of the last answer.
    """

    asked: int = 0
    answered: int = 0
    failed: int = 0
    open: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    loads: int = 0
    load_s: float = 0.0
    tokens_per_second: float | None = None


def rate_of(result: ChatResult) -> float | None:
    """Return the decode speed of an answer in tokens per second; the first token belongs to the prefill."""
    tokens, seconds = result.usage.completion_tokens - 1, result.timings.decode_s
    return round(tokens / seconds, 2) if tokens > 0 and seconds > 0 else None


def prefill_rate_of(result: ChatResult) -> float | None:
    """Return the speed of reading the part of the prompt that no KV cache held, in tokens per second."""
    tokens, seconds = computed_tokens(result), result.timings.prefill_s
    return round(tokens / seconds, 2) if tokens > 0 and seconds > 0 else None


def computed_tokens(result: ChatResult) -> int:
    """Return the prompt tokens that were computed, those of the KV cache left out."""
    return result.usage.prompt_tokens - result.usage.cached_tokens
