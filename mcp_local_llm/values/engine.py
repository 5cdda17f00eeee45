"""The seams below the core: what an engine and a backend can do, and the progress they tell.

Protocols only. An `Engine` answers requests with a loaded model; a `Backend` turns a `ModelInfo` into
an engine. Both are implemented in `engines/`, and the core knows nothing else of them.
"""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from mcp_local_llm.values.chat import ChatRequest, ChatResult
from mcp_local_llm.values.model import ModelInfo, human_bytes

Phase = Literal["queued", "downloading", "loading", "prefill", "reasoning", "answer"]


@dataclass(frozen=True)
class Progress:
    """Where a long call stands.

    Attributes:
        done, total: calls ahead when queued, bytes when downloading or loading, tokens otherwise; `total` None if
            unknown.
        rate: tokens (when downloading: bytes) per second, once it can be told.
    """

    phase: Phase
    done: int = 0
    total: int | None = None
    rate: float | None = None

    def __str__(self) -> str:
        """Say it in the few words that a client shows beside a running call."""
        match self.phase:
            case "queued":
                return f"waiting, {self.done} {'call' if self.done == 1 else 'calls'} ahead"
            case "downloading":
                return _download_words(self.done, self.total or 0, self.rate)
            case "loading":
                return f"loading {100 * self.done // self.total} %" if self.total else "loading"
            case "prefill":
                return (
                    f"prefill {_short(self.done)}/{_short(self.total)}" if self.total else "waiting for the first token"
                )
            case "reasoning" | "answer":
                rate = "" if self.rate is None else f", {self.rate:.0f} tok/s"
                return f"{'thinking, ' if self.phase == 'reasoning' else ''}{self.done} tokens{rate}"


def _download_words(done: int, total: int, rate: float | None) -> str:
    """Say how far a download is: `downloading 1.2/4.3 GB, 38 MB/s, 81 s left`."""
    whole = human_bytes(total)
    unit = whole.rpartition(" ")[2]
    scale = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}[unit]
    words = f"downloading {done / scale:.{0 if scale == 1 else 1}f}/{whole}"
    if not rate:
        return words
    left = round((total - done) / rate)
    wait = f"{left} s" if left < 120 else f"{left // 60} min" if left < 7200 else f"{left // 3600} h"
    return f"{words}, {human_bytes(round(rate))}/s, {wait} left"


def _short(count: int) -> str:
    """Write a count of tokens as 812, 3.1k or 31k."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}".removesuffix(".0") + "k" if count < 10_000 else f"{count / 1000:.0f}k"


@dataclass(frozen=True)
class ChatChunk:
    """One step of an answer: progress on the way, the result at the end (always the last chunk).

    Attributes:
        text, reasoning: what became certain since the last chunk; only where the request asked to stream. Joined,
            they are the beginning of the result's fields.
        model: the id of the model that answers; filled in above the engines.
    """

    progress: Progress | None = None
    text: str = ""
    reasoning: str = ""
    result: ChatResult | None = None
    model: str = ""


@dataclass(frozen=True)
class EngineMemory:
    """What an engine in this process holds, in bytes, as of its last event.

    Attributes:
        active_bytes: weights, KV caches and working buffers; `prefix_bytes` is a part of it.
        buffer_bytes: freed, but kept for the next allocation.
        prefix_bytes: KV of earlier prompts, kept for reuse.
    """

    active_bytes: int = 0
    buffer_bytes: int = 0
    prefix_bytes: int = 0


ReportProgress = Callable[[Progress], None]
"""Takes a step of progress; may be called from any thread."""


class Engine(Protocol):
    """A loaded model that answers."""

    @property
    def model(self) -> ModelInfo:
        """The model that is loaded."""
        ...

    @property
    def memory(self) -> EngineMemory | None:
        """What it holds; None where the model runs in another process. Never waits."""
        ...

    @property
    def waiting(self) -> int:
        """Calls in its own line, which it has not begun; 0 where the line is a server's. Never waits."""
        ...

    @property
    def lost(self) -> bool:
        """Whether the engine has given the model up by itself, after repeated failures; it cannot answer any more."""
        ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk]:
        """Answer; closing the iterator stops the generation and frees its place.

        Raises:
            InvalidRequestError, ContextLengthError: before anything is computed.
            BusyError: the queue is full.
            GenerationError: the engine failed while answering.
        """
        ...

    async def unload(self) -> None:
        """Drop the model and give its memory back; requests still running fail."""
        ...


class Backend(Protocol):
    """Loads models of one kind."""

    async def load(self, model: ModelInfo, report: ReportProgress) -> Engine:
        """Load `model`; cancelling gives up and frees what was read.

        Raises:
            ModelLoadError: the files cannot be loaded.
            BackendUnavailableError: see `fault`.
        """
        ...

    def fault(self) -> str | None:
        """Say why models of this process cannot be used or replaced now, with the remedy; None while they can.

        A thread that hangs in the device cannot be ended: until it comes back, the model stays in memory. Never waits.
        """
        ...

    def close(self) -> None:
        """Stop what runs in the background; does not block."""
        ...
