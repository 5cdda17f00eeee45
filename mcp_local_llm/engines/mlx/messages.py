"""What passes between the event loop and the MLX thread.

Commands go in, events come out. Events hold no mlx array: one that left its thread would be bound to a
stream that other threads do not have.
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
    from mcp_local_llm.engines.mlx.prompt.render import TextModel
    from mcp_local_llm.engines.mlx.prompt.renderer import RenderedPrompt


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


@dataclass(frozen=True)
class Prefilled:
    """Tokens of the prompt that are in the KV cache, of `total`."""

    done: int
    total: int


@dataclass(frozen=True)
class Generated:
    """Text since the last event, and the tokens and seconds of decoding so far.

    Attributes:
        json: text of a constrained answer, which is what it is: the parser must not look for markup in its strings.
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
        text: what prompts are made with.
        checkpoints: whether KV caches of its prompts can only be kept at certain places.
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

    `cancelled` is set by the event loop, at any time; the thread then ends the job at its next step, silently.
    """

    request: ChatRequest
    rendered: "RenderedPrompt"
    emit: Emit
    submitted: float
    cancelled: threading.Event = field(default_factory=threading.Event)


@dataclass(eq=False)
class ModelState:
    """How a loaded model is, written by the MLX thread and read by anyone, one reference at a time.

    Attributes:
        lost: the thread has unloaded it by itself.
    """

    memory: EngineMemory = field(default_factory=EngineMemory)
    lost: bool = False


@dataclass(frozen=True)
class Load:
    """Load this model; answered by `LoadProgress`, then `Loaded` or `Failed`. `state` tells of it from then on."""

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
    """Look at the jobs again: one was cancelled."""


@dataclass(frozen=True)
class Unload:
    """Fail what runs, drop the model and give its memory back; answered by `Done`."""

    emit: Emit


@dataclass(frozen=True)
class Stop:
    """Fail what runs, unload and end the thread."""


Command = Load | Submit | Wake | Unload | Stop


def refuse(command: Command, error: LocalLLMError) -> None:
    """Answer a command that will not be carried out."""
    match command:
        case Load() | Unload():
            command.emit(Failed(error))
        case Submit(job):
            job.emit(Failed(error))
        case _:
            pass  # Nobody waits for an answer to these.
