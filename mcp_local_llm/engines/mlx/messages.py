"""The messages between the event loop and the MLX thread: commands in, events out.

Events hold no mlx array: an array is bound to a stream of the thread that made it.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mcp_local_llm.values.chat import ChatRequest
from mcp_local_llm.values.engine import EngineMemory
from mcp_local_llm.values.errors import LocalLLMError
from mcp_local_llm.values.model import ModelInfo

if TYPE_CHECKING:
    from mcp_local_llm.engines.mlx.prompt.renderer import RenderedPrompt
    from mcp_local_llm.engines.mlx.prompt.text_model import TextModel
    from mcp_local_llm.parsing import TagPair


@dataclass(frozen=True)
class Queued:
    """The request waits; `ahead` requests come before it."""

    ahead: int


@dataclass(frozen=True)
class Started:
    """The prompt was rendered and admitted; the flags tell how its template opens the answer (see `Prompt`)."""

    prompt_tokens: int
    cached_tokens: int
    think_prefilled: bool
    answer_only: bool = False
    pair: "TagPair | None" = None


@dataclass(frozen=True)
class Prefilled:
    """Tokens of the prompt that are in the KV cache, of `total`."""

    done: int
    total: int


@dataclass(frozen=True)
class Generated:
    """Text since the last event, and the tokens and seconds of decoding so far.

    Attributes:
        json: text of a constrained answer, in whose strings the parser must not look for markup.
    """

    text: str
    tokens: int
    seconds: float
    json: str = ""


@dataclass(frozen=True)
class Finished:
    """The end: the last text, why it ended (`stop`, `length` or `loop`), counts, and seconds of each phase.

    Attributes:
        json: the last part of the constrained answer.
        schema_met: whether the answer validates; None where no schema was asked for.
        warnings: one sentence each, for the caller.
        stop_string: the stop string that ended it; empty where none did.
    """

    text: str
    reason: str
    tokens: int
    reasoning_tokens: int
    queued_s: float
    prefill_s: float
    decode_s: float
    json: str = ""
    schema_met: bool | None = None
    warnings: tuple[str, ...] = ()
    stop_string: str = ""


@dataclass(frozen=True)
class Failed:
    """The request ended with an error; nothing follows."""

    error: LocalLLMError


@dataclass(frozen=True)
class LoadProgress:
    """Bytes of weights read, of `total`."""

    done: int
    total: int


@dataclass(frozen=True)
class Loaded:
    """A load is complete.

    Attributes:
        text: the tokenizer and chat template.
        checkpoints: whether KV caches of its prompts can be kept only at checkpoints.
    """

    text: "TextModel"
    checkpoints: bool


@dataclass(frozen=True)
class Done:
    """An unload is complete."""


Event = Queued | Started | Prefilled | Generated | Finished | Failed | LoadProgress | Loaded | Done
Emit = Callable[[Event], None]
"""Takes an event on the MLX thread; must not block."""


@dataclass(eq=False)
class Job:
    """One request on its way through the thread.

    `cancelled` is set by the event loop, at any time; the thread then ends the job at its next step, silently. `call`
    is the id by which the log names the request.
    """

    request: ChatRequest
    rendered: "RenderedPrompt"
    emit: Emit
    submitted: float
    call: str = "-"
    cancelled: threading.Event = field(default_factory=threading.Event)


@dataclass(eq=False)
class ModelState:
    """The memory and health of a loaded model, written by the MLX thread and read by any thread.

    Attributes:
        lost: the thread has unloaded the model after failures.
    """

    memory: EngineMemory = field(default_factory=EngineMemory)
    lost: bool = False


@dataclass(frozen=True)
class Load:
    """Load this model; answered by `LoadProgress`, and `Loaded` or `Failed`; then `state` is kept up to date."""

    model: ModelInfo
    emit: Emit
    cancelled: threading.Event
    state: ModelState


@dataclass(frozen=True)
class Submit:
    """Answer this request, first come, first served."""

    job: Job


@dataclass(frozen=True)
class Wake:
    """Drop the jobs that were cancelled."""


@dataclass(frozen=True)
class Unload:
    """Fail the running requests, drop the model and give its memory back; answered by `Done`."""

    emit: Emit


@dataclass(frozen=True)
class Stop:
    """Fail the running requests, unload and end the thread."""


Command = Load | Submit | Wake | Unload | Stop


def refuse(command: Command, error: LocalLLMError) -> None:
    """Answer a command that will not be executed."""
    match command:
        case Load() | Unload():
            command.emit(Failed(error))
        case Submit(job):
            job.emit(Failed(error))
        case _:
            pass  # These have no answer.
