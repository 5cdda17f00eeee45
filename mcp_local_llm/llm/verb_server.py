"""The lease owner's end of the socket: answers the verbs of this user's other sessions.

It knows lines, peers and the verbs; it knows no lease and no model.
"""

import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, aclosing
from pathlib import Path
from typing import Any, NoReturn

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketListener, TaskGroup
from anyio.streams.buffered import BufferedByteReceiveStream

from mcp_local_llm import __version__
from mcp_local_llm.engine import ChatChunk, Progress
from mcp_local_llm.errors import ConfigError, GenerationError, InvalidRequestError, LocalLLMError
from mcp_local_llm.llm import verb_lines
from mcp_local_llm.llm.attached import AttachedSessions
from mcp_local_llm.llm.llm import LLM
from mcp_local_llm.llm.peer import peer_of
from mcp_local_llm.llm.verb_lines import BEAT_S, MAX_LINE, PROTOCOL, VERBS, Line
from mcp_local_llm.reports import Status

FIRST_LINE_S = 10.0
"""Seconds in which a session sends its line; one that connects and says nothing would keep a place for ever."""
PROGRESS_S = 0.25
"""Seconds between two lines of progress."""
READ_S = 60.0
"""Seconds after which a session that reads nothing is given up."""
ACCEPT_AGAIN_S = 0.1
"""Pause after a connection could not be accepted, for example because no file descriptor is free."""
BACKLOG = 128

_LOG = logging.getLogger(__name__)


class VerbServer:
    """Answers verbs on the socket at `path`, while it is open."""

    def __init__(
        self,
        path: Path,
        llm: LLM,
        *,
        status: Callable[[], Awaitable[Status]],
        entered: Callable[[], AbstractContextManager[None]],
        drain: Callable[[], None],
    ) -> None:
        """Prepare to answer; nothing is opened yet.

        Args:
            path: of the socket.
            llm: executes the verbs.
            status: tells what `llm` does not know: who holds the lease and who is attached.
            entered: a block around each verb that takes time; it raises `HolderGoneError` where no new ones are taken.
            drain: begins to leave; returns at once.
        """
        self._path = path
        self._llm = llm
        self._status = status
        self._entered = entered
        self._drain = drain
        self._sessions = AttachedSessions()
        self._accepting: anyio.CancelScope | None = None

    def sessions(self) -> tuple[int, ...]:
        """Return the processes that have used a verb since the socket was opened, and still run."""
        return self._sessions.pids()

    async def open(self, tasks: TaskGroup) -> None:
        """Begin to answer, in `tasks`; the caller holds the lease, so nobody alive listens there.

        Raises:
            ConfigError: the socket cannot be made.
        """
        try:
            listener = await anyio.create_unix_listener(self._path, mode=0o600, backlog=BACKLOG)
        except OSError as error:
            raise ConfigError(f"The socket {self._path} cannot be made: {error}.") from error
        self._accepting = anyio.CancelScope()
        tasks.start_soon(self._accept, listener, tasks, self._accepting)

    def close(self) -> None:
        """Take no more connections; those that are open go on."""
        if self._accepting is not None:
            self._accepting.cancel()
            self._accepting = None

    async def _accept(self, listener: SocketListener, tasks: TaskGroup, scope: anyio.CancelScope) -> None:
        async with listener:
            with scope:
                while True:
                    try:
                        stream = await listener.accept()
                    except OSError as error:
                        _LOG.warning("A session could not connect: %s.", error)
                        await anyio.sleep(ACCEPT_AGAIN_S)
                        continue
                    tasks.start_soon(self._answer, stream)

    async def _answer(self, stream: ByteStream) -> None:
        async with stream:
            try:
                peer = peer_of(stream.extra(SocketAttribute.raw_socket))
            except OSError as error:
                _LOG.warning("A connection whose process the kernel does not tell was refused: %s.", error)
                return
            if peer.uid != os.geteuid():
                _LOG.warning("a connection of user %d was refused", peer.uid)
                return
            async with anyio.create_task_group() as tasks:
                await self._converse(_Lines(stream, tasks.cancel_scope), tasks, peer.pid)
                tasks.cancel_scope.cancel()

    async def _converse(self, lines: "_Lines", tasks: TaskGroup, pid: int) -> None:
        """Read one verb and execute it; it is cancelled when the session closes its end."""
        await lines.send({"protocol": PROTOCOL, "version": __version__, "pid": os.getpid()})
        try:
            first = await lines.first()
        except anyio.DelimiterNotFound:
            error = InvalidRequestError(f"The request is longer than {MAX_LINE // 2**20} MiB. Send less text.")
            await lines.send(verb_lines.write_error(error))
            return
        tasks.start_soon(lines.cancel_at_end)
        tasks.start_soon(lines.beat)
        await lines.send(await self._outcome(first, lines, pid))

    async def _outcome(self, first: bytes, lines: "_Lines", pid: int) -> Line:
        """Execute one verb and return its last line."""
        name = ""
        try:
            line = verb_lines.read_line(first)
            name = str(line.get("verb"))
            if name not in VERBS:
                raise InvalidRequestError(
                    f"mcp-local-llm {__version__} knows no verb {name!r}. Start this session anew."
                )
            arguments = verb_lines.read_arguments(name, line.get("arguments"))
            return {
                "result": verb_lines.write_value(VERBS[name].result, await self._execute(name, arguments, lines, pid))
            }
        except LocalLLMError as error:
            return verb_lines.write_error(error)
        except Exception:
            # The edge of one verb: a defect must not end the other sessions' answers.
            _LOG.exception("The verb %r of process %d failed.", name, pid)
            return verb_lines.write_error(GenerationError("The process that holds the model failed; its log says why."))

    async def _execute(self, name: str, arguments: dict[str, Any], lines: "_Lines", pid: int) -> object:
        if name == "drain":
            self._drain()
            return True
        if name == "status":
            return await self._status()
        if not VERBS[name].reports:
            return await getattr(self._llm, name)(**arguments)
        with self._entered():
            self._sessions.met(pid)
            if name == "chat":
                return await self._chat(arguments, lines)
            return await getattr(self._llm, name)(report=lines.report, **arguments)

    async def _chat(self, arguments: dict[str, Any], lines: "_Lines") -> object:
        chunk = ChatChunk()
        async with aclosing(self._llm.chat(report=lines.report, **arguments)) as chunks:
            async for chunk in chunks:
                if chunk.result is None:
                    await lines.send(verb_lines.write_chunk(chunk))
        return chunk.result


class _Lines:
    """The lines from and to one session: never two at once, and never a long silence.

    Where the session is gone, `scope` is cancelled: there is nobody to work for.
    """

    def __init__(self, stream: ByteStream, scope: anyio.CancelScope) -> None:
        self._stream = stream
        self._reader = BufferedByteReceiveStream(stream)
        self._scope = scope
        self._lock = anyio.Lock()
        self._news: Progress | None = None
        self._told: Progress | None = None
        self._last = anyio.current_time()

    def report(self, progress: Progress) -> None:
        """Take a step of progress, from any thread; `beat` sends the latest one."""
        self._news = progress

    async def first(self) -> bytes:
        """Read the line of the session.

        Raises:
            anyio.DelimiterNotFound: it is too long.
        """
        try:
            with anyio.fail_after(FIRST_LINE_S):
                return await self._reader.receive_until(b"\n", MAX_LINE)
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, TimeoutError):
            await self._gone()

    async def send(self, line: Line) -> None:
        """Send one line; a session that reads nothing for `READ_S` counts as gone."""
        data = verb_lines.write_line(line)
        async with self._lock:
            try:
                with anyio.fail_after(READ_S):
                    await self._stream.send(data)
            except (anyio.BrokenResourceError, TimeoutError):
                await self._gone()
            self._last = anyio.current_time()

    async def cancel_at_end(self) -> None:
        """Wait until the session closes its end."""
        with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            await self._reader.receive(1)
        self._scope.cancel()

    async def beat(self) -> None:
        """Send progress as it changes, and a sign of life where nothing else was sent."""
        while True:
            await anyio.sleep(PROGRESS_S)
            if (news := self._news) is not None and news != self._told:
                self._told = news
                await self.send(verb_lines.write_progress(news))
            elif anyio.current_time() - self._last >= BEAT_S:
                await self.send({"beat": 1})

    async def _gone(self) -> NoReturn:
        self._scope.cancel()
        await anyio.sleep_forever()  # Ends at once, with the cancellation.
        raise AssertionError
