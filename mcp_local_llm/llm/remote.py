"""Sends each verb to the lease owner over its Unix socket, and reads the answer.

It must not know catalogue, resident model or engines: the lease owner resolves names and settings.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import cast

import anyio

from mcp_local_llm.llm import verb_lines
from mcp_local_llm.llm.line_socket import LineSocket, LineTooLongError
from mcp_local_llm.llm.llm import Caller
from mcp_local_llm.llm.verb_lines import MAX_LINE, PROTOCOL, VERBS, Line
from mcp_local_llm.residency import LeaseOwner
from mcp_local_llm.values.call import current_call
from mcp_local_llm.values.chat import ChatChunk, ChatRequest, TokenCounts
from mcp_local_llm.values.errors import BackendProtocolError, BackendUnavailableError, HolderGoneError
from mcp_local_llm.values.progress import Progress, ReportProgress
from mcp_local_llm.values.results import Counts, Download, ModelTable, QuickTest, QuickTestName, Status, Switch
from mcp_local_llm.wire.json_values import as_count

SILENCE_S = 10.0
"""Seconds without a line after which the lease owner counts as stopped; a running one writes every two."""
STATUS_SILENCE_S = 2.0
"""Seconds for verbs that are answered at once; no beat is waited for."""


class Remote:
    """The verbs in the lease owner; see `llm.llm.LLM` for their contracts.

    Each verb raises `HolderGoneError` where the lease owner does not listen or shuts down and has not begun it. After
    the beginning, a lost connection is a `BackendUnavailableError`: the verb is not sent again, since it may have ended
    the owner.
    """

    def __init__(self, socket: Path, version: str, owner: Callable[[], LeaseOwner | None]) -> None:
        """Prepare to connect; each verb makes its own connection.

        Args:
            socket: path of the lease owner's socket.
            version: of this process.
            owner: reads the lease owner's process id and version, for messages.
        """
        self._socket = socket
        self._version = version
        self._owner = owner

    async def chat(
        self, request: ChatRequest, report: ReportProgress, *, model: str | None = None, caller: Caller | None = None
    ) -> AsyncGenerator[ChatChunk]:
        """Answer `request`, chunk by chunk; see `LLM.chat`."""
        arguments = {"request": request, "model": model, "caller": caller or Caller()}
        async with aclosing(self._lines("chat", report, arguments)) as lines:
            async for line in lines:
                if "chunk" in line:
                    yield verb_lines.read_chunk(line["chunk"])
                else:
                    yield ChatChunk(result=line["result"], model=line["result"].model)

    async def count(
        self,
        items: tuple[ChatRequest | str, ...],
        report: ReportProgress,
        *,
        model: str | None = None,
        caller: Caller | None = None,
    ) -> TokenCounts:
        """Count tokens; see `LLM.count`."""
        arguments = {"items": items, "model": model, "caller": caller or Caller()}
        return cast(TokenCounts, await self._call("count", report, **arguments))

    async def set_model(self, name: str, report: ReportProgress, *, download: bool = False) -> Switch:
        """Load a model and save the choice; see `LLM.set_model`."""
        return cast(Switch, await self._call("set_model", report, name=name, download=download))

    async def download(self, name: str, report: ReportProgress) -> Download:
        """Download a model; see `LLM.download`."""
        return cast(Download, await self._call("download", report, name=name))

    async def quick_test(
        self, test: QuickTestName, report: ReportProgress, *, caller: Caller | None = None
    ) -> QuickTest:
        """Send one scripted question; see `LLM.quick_test`."""
        return cast(QuickTest, await self._call("quick_test", report, test=test, caller=caller or Caller()))

    async def list_models(self, *, caller: Caller | None = None) -> ModelTable:
        """List every model on the machine."""
        return cast(ModelTable, await self._call("list_models", caller=caller or Caller()))

    async def status(self) -> Status:
        """Return the lease owner's status."""
        return cast(Status, await self._call("status"))

    async def counters(self) -> Counts:
        """Return the lease owner's counts."""
        return cast(Counts, await self._call("counters"))

    async def complete(self, typed: str) -> tuple[str, ...]:
        """Return the completions of `typed`; see `LLM.complete`."""
        return cast(tuple[str, ...], await self._call("complete", typed=typed))

    async def candidates(self, name: str) -> tuple[str, ...]:
        """Return the models that an ambiguous `name` may mean; see `LLM.candidates`."""
        return cast(tuple[str, ...], await self._call("candidates", name=name))

    async def unload(self, report: ReportProgress, *, force: bool = False) -> Status:
        """Unload the model; see `LLM.unload`."""
        return cast(Status, await self._call("unload", report, force=force))

    async def drain(self) -> None:
        """Ask the lease owner to finish its verbs, to accept no new ones and to release the lease."""
        await self._call("drain")

    async def _call(self, verb: str, report: ReportProgress | None = None, **arguments: object) -> object:
        async with aclosing(self._lines(verb, report or _ignore, arguments)) as lines:
            async for line in lines:
                if "result" in line:
                    return line["result"]
        raise self._connection_lost()

    async def _lines(self, verb: str, report: ReportProgress, arguments: Mapping[str, object]) -> AsyncGenerator[Line]:
        """Send one verb; yield its chunks as lines, then its result as a value. `report` receives the progress."""
        kind = VERBS[verb]
        silence = STATUS_SILENCE_S if kind.at_once else SILENCE_S
        first: Line = {"protocol": PROTOCOL, "version": self._version, "verb": verb}
        first |= {**verb_lines.write_call(current_call()), "arguments": verb_lines.write_arguments(verb, arguments)}
        sent = verb_lines.write_line(first)
        if len(sent) > MAX_LINE:
            # The owner would stop reading, so that sending it would look as if the owner hung.
            raise verb_lines.too_long()
        with self._connect() as socket:
            hello = await self._begin(socket, sent, silence)
            await self._check(hello, takes_lease=kind.takes_lease)
            pid = as_count(hello.get("pid")) or 0
            while True:
                line = await self._line(socket, silence, pid)
                if "progress" in line:
                    report(verb_lines.read_progress(line["progress"]))
                elif "error" in line:
                    raise verb_lines.read_error(line["error"])
                elif "result" in line:
                    yield {"result": verb_lines.read_value(kind.result, line["result"])}
                    return
                elif "chunk" in line:
                    yield line

    def _connect(self) -> LineSocket:
        try:
            return LineSocket.connect(self._socket)
        except OSError as error:
            # It starts its socket, ends, or has a full backlog.
            raise HolderGoneError("The process that holds the model does not listen on its socket.") from error

    async def _begin(self, socket: LineSocket, first: bytes, silence: float) -> Line:
        """Send the line of the verb, and return the first line of the lease owner."""
        try:
            with anyio.fail_after(silence):
                await socket.send(first)
                line = await socket.line(MAX_LINE)
        except TimeoutError as error:
            raise self._silent(silence, None) from error
        except LineTooLongError as error:
            raise _too_long() from error
        except (EOFError, OSError) as error:
            raise HolderGoneError("The process that holds the model has just ended.") from error
        if line.startswith(b"HTTP/"):
            raise BackendProtocolError(
                f"The model is held by {self._owner_words(None)}, which is too old to share it with version "
                f"{self._version}. End that session, then send the request again."
            )
        return verb_lines.read_line(line)

    async def _check(self, hello: Line, *, takes_lease: bool) -> None:
        """Compare versions; ask an older lease owner to shut down where this verb needs a model."""
        version, protocol = str(hello.get("version")), hello.get("protocol")
        if not isinstance(protocol, int) or protocol > PROTOCOL:
            raise BackendProtocolError(
                f"The model is held by mcp-local-llm {version}, which this older version {self._version} does not "
                "understand. Start this session anew."
            )
        if takes_lease and (protocol < PROTOCOL or version_key(version) < version_key(self._version)):
            # The verb ends with this connection; the next lease owner executes it.
            await self.drain()
            raise HolderGoneError(f"mcp-local-llm {version} held the model and leaves for this version.", leaving=True)

    async def _line(self, socket: LineSocket, silence: float, pid: int) -> Line:
        try:
            with anyio.fail_after(silence):
                return verb_lines.read_line(await socket.line(MAX_LINE))
        except TimeoutError as error:
            raise self._silent(silence, pid) from error
        except LineTooLongError as error:
            raise _too_long() from error
        except (EOFError, OSError) as error:
            raise self._connection_lost() from error

    def _silent(self, seconds: float, pid: int | None) -> BackendUnavailableError:
        return BackendUnavailableError(
            f"The model is held by {self._owner_words(pid)}, which said nothing for {seconds:g} s: it is stopped or "
            "hangs. Let it go on (`fg` in its terminal, or `kill -CONT` with its number) or end it, then send the "
            "request again."
        )

    def _connection_lost(self) -> BackendUnavailableError:
        return BackendUnavailableError(
            "The process that held the model ended before this answer was finished. Send the request again; the "
            "next call loads the model anew."
        )

    def _owner_words(self, pid: int | None) -> str:
        owner = self._owner()
        if pid or owner:
            return f"process {pid or (owner and owner.pid)}"
        return "another process"


def version_key(version: str) -> tuple[int, ...]:
    """Return the numbers of a version for comparison; other parts are left out."""
    return tuple(int(part[:9]) for part in version.split(".") if part.isdecimal())


def _too_long() -> BackendProtocolError:
    return BackendProtocolError(
        f"The process that holds the model sent more than {MAX_LINE // 2**20} MiB at once. Ask for a shorter answer."
    )


def _ignore(progress: Progress) -> None:
    """Ignore the progress of a verb that reports none."""
