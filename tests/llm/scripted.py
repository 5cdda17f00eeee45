"""Both ends of the socket between sessions, scripted: an executor that does as told, and an owner that says as told."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream

from mcp_local_llm.llm.llm import Caller
from mcp_local_llm.llm.remote import Remote
from mcp_local_llm.llm.verb_server import VerbServer
from mcp_local_llm.residency.lease import LeaseOwner
from mcp_local_llm.values.chat import ChatChunk, ChatRequest, ChatResult, Message, Timings, TokenCounts, ToolCall, Usage
from mcp_local_llm.values.progress import Progress, ReportProgress
from mcp_local_llm.values.results import Counts, Download, ModelTable, QuickTest, QuickTestName, Status, Switch
from tests.clients import WAIT_S
from tests.statuses import READY

HELLO = ChatRequest((Message(role="user", content="Hello"),), stream=True)
RESULT = ChatResult(
    text="Half a pair: \ud83d, and é.",
    reasoning="Hm.",
    tool_calls=(ToolCall(name="f", arguments={"a": [1, None, {"b": "c"}]}, id="7"),),
    finish_reason="tool_calls",
    model="org/model",
    usage=Usage(3, 1, 2, 1),
    timings=Timings(0.1, 0.2, 0.3, 0.4),
    thinking_closed=False,
    warnings=("a warning",),
    looped=True,
    schema_met=False,
)
STATUS = READY
COUNTS = TokenCounts("org/model", (7, 8), 4096, estimated=True, places=3)
SWITCH = Switch(model="m", previous=None, loaded=True, seconds=1.0, size_bytes=1, available_bytes=None)
DOWNLOAD = Download(model="m", size_bytes=1, fetched_bytes=2, seconds=1.0, path="/p")
TEST = QuickTest(
    test="hello",
    passed=True,
    verdict="v",
    model="m",
    prompt="p",
    answer="a",
    reasoning_tokens=0,
    completion_tokens=1,
    seconds=1.0,
    tokens_per_second=None,
)


class ScriptedLLM:
    """Executes every verb with fixed values, or fails with `failure`; notes what it was asked."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.asked: list[object] = []
        self.go_on = anyio.Event()
        self.go_on.set()
        self.begun = anyio.Event()
        self.cancelled = anyio.Event()

    async def _ask(self, *what: object) -> None:
        self.asked.append(what)
        self.begun.set()
        try:
            await self.go_on.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled.set()
            raise
        if self.failure is not None:
            raise self.failure

    async def chat(
        self, request: ChatRequest, report: ReportProgress, *, model: str | None = None, caller: Caller | None = None
    ) -> AsyncGenerator[ChatChunk]:
        report(Progress("prefill", 1, 2))
        await self._ask("chat", request, model, caller)
        yield ChatChunk(text="Half ", model="org/model")
        yield ChatChunk(reasoning="Hm.", model="org/model")
        yield ChatChunk(result=RESULT, model="org/model")

    async def count(
        self,
        items: tuple[ChatRequest | str, ...],
        report: ReportProgress,
        *,
        model: str | None = None,
        caller: Caller | None = None,
    ) -> TokenCounts:
        await self._ask("count", items, model, caller)
        return COUNTS

    async def set_model(self, name: str, report: ReportProgress, *, download: bool = False) -> Switch:
        await self._ask("set_model", name, download)
        return SWITCH

    async def download(self, name: str, report: ReportProgress) -> Download:
        await self._ask("download", name)
        return DOWNLOAD

    async def quick_test(
        self, test: QuickTestName, report: ReportProgress, *, caller: Caller | None = None
    ) -> QuickTest:
        await self._ask("quick_test", test, caller)
        return TEST

    async def list_models(self, *, caller: Caller | None = None) -> ModelTable:
        await self._ask("list_models", caller)
        return ModelTable(models=[], chosen="m", warnings=["w"])

    async def status(self) -> Status:
        return STATUS

    async def counters(self) -> Counts:
        await self._ask("counters")
        return Counts(asked=3)

    async def complete(self, typed: str) -> tuple[str, ...]:
        await self._ask("complete", typed)
        return ("a", "b")

    async def candidates(self, name: str) -> tuple[str, ...]:
        await self._ask("candidates", name)
        return ("c",)

    async def unload(self, report: ReportProgress, *, force: bool = False) -> Status:
        await self._ask("unload", force)
        return STATUS


def owner() -> LeaseOwner:
    """What the lock file says in these tests."""
    return LeaseOwner(4711, "1.0.0")


@asynccontextmanager
async def serving(tmp_path: Path, llm: ScriptedLLM) -> AsyncGenerator[Remote]:
    """A lease owner that executes with `llm`, seen by another session of its version."""

    @contextmanager
    def entered() -> Generator[None]:
        yield

    socket = tmp_path / "holder.sock"
    async with anyio.create_task_group() as tasks:
        server = VerbServer(socket, llm, status=llm.status, admit=entered, drain=lambda: llm.asked.append("drain"))
        server.open(tasks)
        with anyio.fail_after(WAIT_S):
            yield Remote(socket, "0.0.1", owner)
        tasks.cancel_scope.cancel()


Say = Callable[[ByteStream, bytes], Awaitable[None]]


@asynccontextmanager
async def saying(tmp_path: Path, say: Say) -> AsyncGenerator[Remote]:
    """A lease owner that says what `say` sends once it has read the first line, seen by a session of version 1.0.0."""
    listener = await anyio.create_unix_listener(tmp_path / "holder.sock")

    async def answer(stream: ByteStream) -> None:
        async with stream:
            try:
                first = await BufferedByteReceiveStream(stream).receive_until(b"\n", 2**20)
                await say(stream, first)
            except (anyio.BrokenResourceError, anyio.IncompleteRead):
                pass  # The session has gone.

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer, tasks)
        yield Remote(tmp_path / "holder.sock", "1.0.0", owner)
        tasks.cancel_scope.cancel()


def ignore(progress: Progress) -> None:
    """Take progress that no test here looks at."""
