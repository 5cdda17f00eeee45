"""The seams below the core: what an engine and a backend can do, and the progress they tell.

Protocols only. An `Engine` answers requests with a loaded model; a `EngineLoader` turns a `ModelInfo` into
an engine. Both are implemented in `engines/`, and the core knows nothing else of them.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from mcp_local_llm.values.chat import ChatChunk, ChatRequest
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.progress import ReportProgress


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


class EngineLoader(Protocol):
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
