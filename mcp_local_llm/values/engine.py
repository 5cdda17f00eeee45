"""The protocols between `llm` and `engines`: an `EngineLoader` loads a model, an `Engine` answers requests with it."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from mcp_local_llm.values.chat import ChatChunk, ChatRequest, TokenCounts
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.progress import ReportProgress


@dataclass(frozen=True)
class EngineMemory:
    """Memory of an engine in this process, in bytes, as of its last event.

    Attributes:
        active_bytes: weights, KV caches and working buffers; `prefix_bytes` is a part of it.
        buffer_bytes: freed buffers that are kept for the next allocation.
        prefix_bytes: KV caches of earlier prompts, kept for reuse.
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
        """Memory of the engine; None where the model runs in another process. Never waits."""
        ...

    @property
    def waiting(self) -> int:
        """Requests in the engine's queue; 0 where a server keeps the queue. Never waits."""
        ...

    @property
    def lost(self) -> bool:
        """Whether the engine unloaded the model after repeated failures; it cannot answer any more."""
        ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk]:
        """Answer `request`; closing the iterator stops the generation and frees its place in the batch.

        Raises:
            InvalidRequestError, ContextLengthError: before anything is computed.
            BusyError: the queue is full.
            GenerationError: the engine failed while answering.
        """
        ...

    async def count(self, items: Sequence[ChatRequest | str]) -> TokenCounts:
        """Count the prompt tokens of requests and the tokens of texts, however long; never queued behind answers.

        Raises:
            InvalidRequestError: the chat template refuses one.
        """
        ...

    async def unload(self) -> None:
        """Unload the model and free its memory; running requests fail."""
        ...


class EngineLoader(Protocol):
    """Loads models of one kind."""

    async def load(self, model: ModelInfo, report: ReportProgress) -> Engine:
        """Load `model`; cancelling stops the load and frees its memory.

        Raises:
            ModelLoadError: the files cannot be loaded.
            BackendUnavailableError: see `fault`.
        """
        ...

    def fault(self) -> str | None:
        """Return why models of this process cannot be used or replaced now, with the remedy; None while they can.

        A thread that hangs in a device step cannot be ended: the model stays in memory until the step returns. Never
        waits.
        """
        ...
