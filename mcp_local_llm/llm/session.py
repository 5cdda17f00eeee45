"""One session of this user: executes each verb in this process, or forwards it to the lease owner.

The lease decides, for each call anew. A session must not know engines or doors.

    lease                     chat, set_model, quick_test                other verbs
    owned by this process     execute here                               execute here
    owned by another process  forward                                    forward
    free                      take it, open the socket, execute here     execute here without the lease, load nothing
"""

import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, aclosing, contextmanager
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import anyio
import anyio.to_thread

from mcp_local_llm.llm.llm import LLM, Caller
from mcp_local_llm.llm.ownership import Ownership
from mcp_local_llm.llm.remote import Remote
from mcp_local_llm.llm.retry import RetryPolicy
from mcp_local_llm.llm.verb_lines import VERBS
from mcp_local_llm.residency import Lease
from mcp_local_llm.setup.log import joined_failures
from mcp_local_llm.values.chat import ChatChunk, ChatRequest, TokenCounts
from mcp_local_llm.values.errors import BackendError, HolderGoneError
from mcp_local_llm.values.progress import Progress, ReportProgress
from mcp_local_llm.values.results import Counts, Download, ModelTable, QuickTest, QuickTestName, Status, Switch

if TYPE_CHECKING:
    # A session that forwards its verbs must not import the engines.
    from mcp_local_llm.llm.local import Local

FINISH_S = 60.0
"""Seconds that other sessions' verbs may run on after this session's client has closed its connection."""

_Result = TypeVar("_Result")


class Session:
    """The verbs for the doors of one process; see `llm.llm.LLM`. It must be entered before the first verb."""

    def __init__(
        self,
        *,
        lease: Lease,
        version: str,
        make_local: "Callable[[], Local]",
        caller: Caller,
        share: bool = True,
        model: str | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a session; nothing is read or opened yet.

        Args:
            lease: of this user.
            version: of this process.
            make_local: makes the executor of this process; called once, on a thread, for the first verb that runs here.
            caller: identity and settings of this session, which are sent with each verb.
            share: False loads a model of its own, without the lease.
            model: for requests of this session that name none, whatever the saved choice is.
            sleep: waits for a number of seconds.
            clock: time in seconds.
        """
        self._lease = lease
        self._version = version
        self._make_local = make_local
        self._remote = Remote(lease.socket, version, lease.owner)
        self._caller = caller
        self._share = share
        self._model = model
        self._used = ""
        self._sleep = sleep
        self._clock = clock
        self._owner = Ownership(lease, version, sleep)
        self._local: Local | None = None
        self._making = anyio.Lock()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._owner.tasks = await self._stack.enter_async_context(anyio.create_task_group())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the verbs of other sessions; their connections end."""
        self._owner.end()
        # Without the error, which the task group would wrap; doors handle errors by class.
        await self._stack.__aexit__(None, None, None)
        self._lease.release()

    async def chat(
        self, request: ChatRequest, report: ReportProgress, *, model: str | None = None, caller: Caller | None = None
    ) -> AsyncGenerator[ChatChunk]:
        """Answer `request`, chunk by chunk; see `LLM.chat`."""
        retry = RetryPolicy(self._lease, self._sleep, self._clock)
        while True:
            try:
                llm = await self._executor("chat")
                with self._running(llm):
                    named = model or self._model
                    stream = llm.chat(request, report, model=named, caller=caller or self._caller)
                    async with aclosing(stream) as chunks:
                        async for chunk in chunks:
                            yield chunk if named else self._with_switch_note(chunk)
                return
            except HolderGoneError as error:
                await retry.wait(error, report)

    async def count(
        self,
        items: tuple[ChatRequest | str, ...],
        report: ReportProgress,
        *,
        model: str | None = None,
        caller: Caller | None = None,
    ) -> TokenCounts:
        """Count tokens; see `LLM.count`."""
        sender = caller or self._caller
        return await self._execute("count", lambda llm: llm.count(items, report, model=model, caller=sender), report)

    async def set_model(self, name: str, report: ReportProgress, *, download: bool = False) -> Switch:
        """Load a model and save the choice; see `LLM.set_model`."""
        switch = await self._execute("set_model", lambda llm: llm.set_model(name, report, download=download), report)
        self._used = switch.model
        return switch

    async def download(self, name: str, report: ReportProgress) -> Download:
        """Download a model; see `LLM.download`."""
        return await self._execute("download", lambda llm: llm.download(name, report), report)

    async def quick_test(
        self, test: QuickTestName, report: ReportProgress, *, caller: Caller | None = None
    ) -> QuickTest:
        """Send one scripted question; see `LLM.quick_test`."""
        sender = caller or self._caller
        return await self._execute("quick_test", lambda llm: llm.quick_test(test, report, caller=sender), report)

    async def list_models(self, *, caller: Caller | None = None) -> ModelTable:
        """List every model on the machine."""
        return await self._execute("list_models", lambda llm: llm.list_models(caller=caller or self._caller))

    async def counters(self) -> Counts:
        """Return the counts of the process that executes the verbs."""
        return await self._execute("counters", lambda llm: llm.counters())

    async def complete(self, typed: str) -> tuple[str, ...]:
        """Return the completions of `typed`; see `LLM.complete`."""
        return await self._execute("complete", lambda llm: llm.complete(typed))

    async def candidates(self, name: str) -> tuple[str, ...]:
        """Return the models that an ambiguous `name` may mean; see `LLM.candidates`."""
        return await self._execute("candidates", lambda llm: llm.candidates(name))

    async def unload(self, report: ReportProgress, *, force: bool = False) -> Status:
        """Unload the model; see `LLM.unload`."""
        return await self._execute("unload", lambda llm: llm.unload(report, force=force), report)

    async def status(self) -> Status:
        """Return the state of the model and of the calls, with the id and version of this process; at once."""
        note = ""
        if self._elsewhere():
            try:
                status = await self._remote.status()
                own = {"pid": os.getpid(), "version": self._version, "failures": joined_failures(status.failures)}
                return status.model_copy(update=own)
            except HolderGoneError as error:
                # It has just ended, or it starts its socket, or something is in the way of that.
                note = str(error) if self._elsewhere() else ""
            except BackendError as error:
                note = str(error)
        own = await self._own_status()
        if not note:
            return own
        owner = self._lease.owner()
        return own.model_copy(update={"holder_pid": owner and owner.pid, "notes": [*own.notes, note]})

    async def hold(self) -> None:
        """Take the lease if it is free, before anything is loaded: a standing server answers for every session.

        Raises:
            ConfigError: the folder for the lock and the socket cannot be used.
        """
        await self._executor("chat")

    async def preload(self, report: ReportProgress) -> None:
        """Load the chosen model unless another process owns the lease. Raises as `chat`."""
        if not self._elsewhere():
            llm = await self._executor("chat")
            if self._local is not None and llm is self._local:
                with self._running(llm):
                    await self._local.preload(report, self._caller, self._model)

    @property
    def holds_model(self) -> bool:
        """Whether this process owns the lease and has a model loaded."""
        return self._lease.held and self._local is not None and not self._local.is_unloaded()

    async def finish_others(self, within: float = FINISH_S) -> None:
        """Accept no new verbs, and wait at most `within` seconds until other sessions' verbs have ended."""
        await self._owner.finish_others(within)

    async def _execute(
        self, verb: str, act: Callable[[LLM], Awaitable[_Result]], report: ReportProgress | None = None
    ) -> _Result:
        """Execute a verb; again with the next executor where the lease owner ends before it has begun."""
        retry = RetryPolicy(self._lease, self._sleep, self._clock)
        while True:
            try:
                llm = await self._executor(verb)
                if not VERBS[verb].reports:
                    return await act(llm)
                with self._running(llm):
                    return await act(llm)
            except HolderGoneError as error:
                await retry.wait(error, report or _ignore)

    def _with_switch_note(self, chunk: ChatChunk) -> ChatChunk:
        """Note once, on an answer to a request that named no model, that it is of another model than before."""
        result = chunk.result
        if result is None:
            return chunk
        before, self._used = self._used, chunk.model
        if before in ("", chunk.model):
            return chunk
        note = f"{chunk.model} answered: outside of this session the choice was changed from {before}."
        return replace(chunk, result=replace(result, warnings=(*result.warnings, note), switch_note=note))

    def _elsewhere(self) -> bool:
        return self._share and not self._lease.held and self._lease.elsewhere()

    async def _executor(self, verb: str) -> LLM:
        """Return the executor of `verb`; take a free lease where the verb needs a model.

        Raises:
            ConfigError: the folder for the lock and the socket cannot be used.
        """
        if self._elsewhere():
            return self._remote
        local = await self._here()
        # Asked anew even where this process held the lease above: a verb that failed meanwhile may have released it.
        if self._share and VERBS[verb].takes_lease and not self._owner.take(local):
            return self._remote
        return local

    @contextmanager
    def _running(self, llm: LLM) -> Generator[None]:
        """Count a verb that runs here, as `Ownership.running` does."""
        if isinstance(llm, Remote):
            yield
            return
        with self._owner.running():
            yield

    async def _here(self) -> "Local":
        async with self._making:
            if self._local is None:
                # On a thread, so that the event loop answers `status` during the imports.
                self._local = await anyio.to_thread.run_sync(self._make_local)
        return self._local

    async def _own_status(self) -> Status:
        status = await (await self._here()).status()
        return self._owner.with_owner(status) if self._share and self._lease.held else status


def _ignore(progress: Progress) -> None:
    """Ignore the progress of a verb that reports none."""
