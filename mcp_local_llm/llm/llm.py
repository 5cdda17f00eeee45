"""The verbs: all that a door can ask for. Protocol and values only; it knows nobody who implements them.

`Local` executes them with the model in this process, `Remote` sends them to the process that holds the lease, and
`Session` chooses between the two for each call.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from mcp_local_llm.values.chat import ChatChunk, ChatRequest, ChatResult, SamplingParams
from mcp_local_llm.values.errors import GenerationError
from mcp_local_llm.values.progress import ReportProgress
from mcp_local_llm.values.results import Counts, Download, ModelTable, QuickTest, QuickTestName, Status, Switch


@dataclass(frozen=True)
class Caller:
    """What a session adds to a verb: who asks, and what its own settings say of its requests.

    Attributes:
        client: the session's name for fairness between waiting calls; a request that names a client keeps that name.
        model, sampling: the session's settings. They come under profile and saved choice, so they travel beside the
            request and are never merged into it.
    """

    client: str = ""
    model: str | None = None
    sampling: SamplingParams = field(default_factory=SamplingParams)


class LLM(Protocol):
    """One local model for every door. `caller` is filled in by `Session`; doors leave it out."""

    def chat(
        self, request: ChatRequest, report: ReportProgress, *, model: str | None = None, caller: Caller | None = None
    ) -> AsyncGenerator[ChatChunk]:
        """Answer `request` with the chosen model, or with the one that `model` names; the saved choice stays.

        Chunks hold text only where the request asks to stream; the first one names the model, and the last one holds
        the result. Closing the iterator stops the generation.

        Raises:
            ModelError: the model is not there, is not one, does not fit or does not load.
            InvalidRequestError, ContextLengthError, BusyError, GenerationError: from the engine.
            BackendError: the process or server that answers failed.
        """
        ...

    async def set_model(self, name: str, report: ReportProgress, *, download: bool = False) -> Switch:
        """Make the model that `name` means resident and save it as the choice.

        Memory is checked before anything is unloaded. Running calls finish first; later calls wait for the new model.
        With `download`, a whole repository name is fetched from the hub if it is not here. Where the load fails,
        nothing is resident, the saved choice stays, and the error names the way back.

        Raises:
            ModelError, BackendError: it cannot be found, fetched or loaded.
            ConfigError: the choice cannot be saved.
        """
        ...

    async def download(self, name: str, report: ReportProgress) -> Download:
        """Fetch the model that `name` means to this machine; loads nothing, and the choice stays.

        Raises:
            DownloadError, BackendError: it cannot be fetched.
        """
        ...

    async def quick_test(
        self, test: QuickTestName, report: ReportProgress, *, caller: Caller | None = None
    ) -> QuickTest:
        """Ask the chosen model one scripted question; a wrong answer is a verdict, not an error. Raises as `chat`."""
        ...

    async def list_models(self, *, caller: Caller | None = None) -> ModelTable:
        """List every model on the machine; loads nothing."""
        ...

    async def status(self) -> Status:
        """Return the state of the model and of the calls, at once; nothing here waits for a model or a lock."""
        ...

    async def counters(self) -> Counts:
        """Return the counts of calls and tokens since the start, at once."""
        ...

    async def complete(self, typed: str) -> tuple[str, ...]:
        """Return the names and roles that `typed` may become; cheap enough for every key that is pressed."""
        ...

    async def candidates(self, name: str) -> tuple[str, ...]:
        """Return the models between which `name` leaves the choice; empty where it leaves none."""
        ...

    async def unload(self, report: ReportProgress, *, force: bool = False) -> Status:
        """Give the model's memory back; the choice stays, and the next call loads it again.

        Raises:
            BusyError: calls use the model, and `force` is not set; the message names who uses it.
        """
        ...


async def answered(chunks: AsyncGenerator[ChatChunk]) -> ChatResult:
    """Fold the chunks of `LLM.chat` into their result.

    Raises:
        GenerationError: the stream ended without one.
    """
    result: ChatResult | None = None
    async with aclosing(chunks):
        async for chunk in chunks:
            result = chunk.result
    if result is None:
        raise GenerationError("The engine ended without an answer. Send the request again.")
    return result
