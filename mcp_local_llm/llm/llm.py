"""The protocol of the verbs, which doors call. It must not know the implementations.

`Local` executes them with the model in this process, `Remote` sends them to the process that holds the lease, and
`Session` chooses between the two for each call.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from mcp_local_llm.values.chat import ChatChunk, ChatRequest, ChatResult, SamplingParams, TokenCounts
from mcp_local_llm.values.errors import GenerationError
from mcp_local_llm.values.progress import ReportProgress
from mcp_local_llm.values.results import Counts, Download, ModelTable, QuickTest, QuickTestName, Status, Switch


@dataclass(frozen=True)
class Caller:
    """The identity of a session, and the settings of the session that apply to its requests.

    Attributes:
        client: name of the session, for fairness between waiting requests; a request with its own `client` keeps it.
        model, sampling: the session's settings. Profile and saved choice win over them, so they are sent beside the
            request and not merged into it.
    """

    client: str = ""
    model: str | None = None
    sampling: SamplingParams = field(default_factory=SamplingParams)


class LLM(Protocol):
    """The verbs. `Session` sets `caller`; doors leave it out."""

    def chat(
        self, request: ChatRequest, report: ReportProgress, *, model: str | None = None, caller: Caller | None = None
    ) -> AsyncGenerator[ChatChunk]:
        """Answer `request` with the chosen model, or with the one that `model` names; the saved choice stays.

        Chunks hold text only with `request.stream`; the first one holds the model's id, the last one the result.
        Closing the iterator stops the generation.

        Raises:
            ModelError: the model is not found, is incomplete, does not fit or cannot be loaded.
            InvalidRequestError, ContextLengthError, BusyError, GenerationError: from the engine.
            BackendError: the process or server that answers failed.
        """
        ...

    async def count(
        self,
        items: tuple[ChatRequest | str, ...],
        report: ReportProgress,
        *,
        model: str | None = None,
        caller: Caller | None = None,
    ) -> TokenCounts:
        """Count the prompt tokens of requests, and the tokens of texts, for the model that `chat` would use.

        Loads the model where it is not resident; does not wait for running answers. Raises as `chat`, except that
        nothing is too long.
        """
        ...

    async def set_model(self, name: str, report: ReportProgress, *, download: bool = False) -> Switch:
        """Load the model that `name` means and save it as the choice.

        Memory is checked before anything is unloaded. Running calls finish first; later calls wait for the new model.
        With `download`, a whole repository name is fetched from the hub if it is not here. After a failed load
        nothing is resident, the saved choice stays, and the error says how to load the earlier model.

        Raises:
            ModelError, BackendError: it cannot be found, fetched or loaded.
            ConfigError: the choice cannot be saved.
        """
        ...

    async def download(self, name: str, report: ReportProgress) -> Download:
        """Download the model that `name` means; loads nothing, and the choice stays.

        Raises:
            DownloadError, BackendError: it cannot be fetched.
        """
        ...

    async def quick_test(
        self, test: QuickTestName, report: ReportProgress, *, caller: Caller | None = None
    ) -> QuickTest:
        """Send the chosen model one scripted question; a wrong answer is a verdict, not an error. Raises as `chat`."""
        ...

    async def list_models(self, *, caller: Caller | None = None) -> ModelTable:
        """List every model on the machine; loads nothing."""
        ...

    async def status(self) -> Status:
        """Return the state of the model and of the calls, without waiting for a model or a lock."""
        ...

    async def counters(self) -> Counts:
        """Return the counts of calls and tokens since the start, at once."""
        ...

    async def complete(self, typed: str) -> tuple[str, ...]:
        """Return the completions of `typed`: names and roles; fast enough for every key press."""
        ...

    async def candidates(self, name: str) -> tuple[str, ...]:
        """Return the ids of the models that an ambiguous `name` may mean; empty for a clear or unknown name."""
        ...

    async def unload(self, report: ReportProgress, *, force: bool = False) -> Status:
        """Unload the model; the choice stays, and the next call loads it again.

        Raises:
            BusyError: calls use the model, and `force` is not set; the message names their clients.
        """
        ...


OnText = Callable[[str], Awaitable[None]]
"""Receives the text of an answer, part by part."""


async def collect_result(chunks: AsyncGenerator[ChatChunk], on_text: OnText | None = None) -> ChatResult:
    """Return the result of a stream of chunks from `LLM.chat`; `on_text` receives the text as it comes.

    Raises:
        GenerationError: the stream ended without a result.
    """
    result: ChatResult | None = None
    async with aclosing(chunks):
        async for chunk in chunks:
            if on_text is not None and chunk.text:
                await on_text(chunk.text)
            result = chunk.result
    if result is None:
        raise GenerationError("The engine ended without an answer. Send the request again.")
    return result
