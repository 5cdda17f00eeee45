"""The lease owner's end of the socket: executes the verbs of this user's other sessions.

It must not know the lease or models.
"""

import logging
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, aclosing
from pathlib import Path
from typing import Any, NoReturn

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from mcp_local_llm import __version__
from mcp_local_llm.llm import verb_lines
from mcp_local_llm.llm.attached import AttachedSessions
from mcp_local_llm.llm.line_socket import LineSocket, LineTooLongError, Listener, peer_of
from mcp_local_llm.llm.llm import LLM
from mcp_local_llm.llm.verb_lines import BEAT_S, MAX_LINE, PROTOCOL, VERBS, Line
from mcp_local_llm.setup.log import logged_call
from mcp_local_llm.values.chat import ChatChunk
from mcp_local_llm.values.errors import ConfigError, GenerationError, InvalidRequestError, LocalLLMError, shortened
from mcp_local_llm.values.progress import Progress
from mcp_local_llm.values.results import Status

FIRST_LINE_S = 10.0
"""Seconds in which a session must send its line, so that a silent connection does not stay open for ever."""
PROGRESS_S = 0.25
"""The least seconds between two lines of progress."""
READ_S = 60.0
"""Seconds after which a session that does not read counts as ended."""
ACCEPT_AGAIN_S = 0.1
"""Seconds to wait after a connection could not be accepted, for example because no file descriptor is free."""

_LOG = logging.getLogger(__name__)


class VerbServer:
    """Executes verbs on the socket at `path`, while it is open."""

    def __init__(
        self,
        path: Path,
        llm: LLM,
        *,
        status: Callable[[], Awaitable[Status]],
        admit: Callable[[], AbstractContextManager[None]],
        drain: Callable[[], None],
    ) -> None:
        """Make a server; nothing is opened yet.

        Args:
            path: of the socket.
            llm: executes the verbs.
            status: the status of `llm` with the lease owner and the attached sessions.
            admit: a block around each verb that takes time; raises `HolderGoneError` where no new verbs are accepted.
            drain: starts the shutdown of the owner; returns at once.
        """
        self._path = path
        self._llm = llm
        self._status = status
        self._admit = admit
        self._drain = drain
        self._sessions = AttachedSessions()
        self._accepting: anyio.CancelScope | None = None
        self._place: os.stat_result | None = None
        self._unsent = 0
        self._sent = anyio.Event()

    def sessions(self) -> tuple[int, ...]:
        """Return the ids of the processes that have sent a verb since the socket was opened, and still run."""
        return self._sessions.pids()

    @property
    def reachable(self) -> bool:
        """Whether the socket is open, and nobody has removed or replaced it, or changed its mode."""
        try:
            now, made = self._path.lstat(), self._place
        except OSError:
            return False
        return made is not None and os.path.samestat(now, made) and now.st_mode == made.st_mode

    def open(self, tasks: TaskGroup) -> None:
        """Open the socket and accept connections in `tasks`; the caller owns the lease, so no other process listens.

        Raises:
            ConfigError: the socket cannot be made.
        """
        try:
            listener = Listener(self._path)
            self._place = self._path.lstat()
        except OSError as error:
            raise ConfigError(f"The socket {self._path} cannot be made: {error}.") from error
        self._accepting = anyio.CancelScope()
        tasks.start_soon(self._accept, listener, tasks, self._accepting)

    def close(self) -> None:
        """Accept no more connections; open ones continue."""
        if self._accepting is not None:
            self._accepting.cancel()
            self._accepting = self._place = None

    async def sent(self) -> None:
        """Wait until the last line of every verb is sent that was admitted, or is refused because this process ends."""
        while self._unsent:
            await self._sent.wait()

    async def _accept(self, listener: Listener, tasks: TaskGroup, scope: anyio.CancelScope) -> None:
        with listener, scope:
            while True:
                try:
                    connection = await listener.accept()
                except OSError as error:
                    _LOG.warning("A session could not connect: %s.", error)
                    await anyio.sleep(ACCEPT_AGAIN_S)
                else:
                    tasks.start_soon(self._answer, connection)

    async def _answer(self, connection: socket.socket) -> None:
        with LineSocket(connection) as lines:
            try:
                peer = peer_of(connection)
            except OSError as error:
                _LOG.warning("A connection of an unknown process was refused: %s.", error)
                return
            if peer.uid != os.geteuid():
                _LOG.warning("a connection of user %d was refused", peer.uid)
                return
            async with anyio.create_task_group() as tasks:
                await self._converse(_SessionConnection(lines, tasks.cancel_scope), tasks, peer.pid)
                tasks.cancel_scope.cancel()

    async def _converse(self, lines: "_SessionConnection", tasks: TaskGroup, pid: int) -> None:
        """Read one verb and execute it; cancel it when the session closes its end."""
        self._unsent += 1
        try:
            await self._verb(lines, tasks, pid)
        finally:
            self._sent_one(lines)

    async def _verb(self, lines: "_SessionConnection", tasks: TaskGroup, pid: int) -> None:
        await lines.send({"protocol": PROTOCOL, "version": __version__, "pid": os.getpid()})
        try:
            first = await lines.first()
        except LineTooLongError:
            await lines.send(verb_lines.write_error(verb_lines.too_long()))
            return
        tasks.start_soon(lines.cancel_at_end)
        tasks.start_soon(lines.beat)
        await lines.send(await self._outcome(first, lines, pid))

    def _sent_one(self, lines: "_SessionConnection") -> None:
        """Count a verb's last line as sent, once; from then on the end of this process does not wait for it."""
        if lines.awaited:
            lines.awaited = False
            self._unsent -= 1
            self._sent.set()
            self._sent = anyio.Event()

    async def _outcome(self, first: bytes, lines: "_SessionConnection", pid: int) -> Line:
        """Execute one verb and return its last line."""
        try:
            line = verb_lines.read_first(first)
            name = str(line.get("verb"))
            if name not in VERBS:
                raise InvalidRequestError(
                    f"mcp-local-llm {__version__} knows no verb {shortened(name)!r}. Start this session anew."
                )
        except LocalLLMError as error:
            return verb_lines.write_error(error)
        call = verb_lines.read_call(line, name, pid)
        with logged_call(call, logging.DEBUG if VERBS[name].at_once else logging.INFO):
            try:
                arguments = verb_lines.read_arguments(name, line.get("arguments"))
                result = await self._execute(name, arguments, lines, pid)
                return {"result": verb_lines.write_value(VERBS[name].result, result)}
            except LocalLLMError as error:
                call.error = error
                return verb_lines.write_error(error)
            except Exception as error:
                # The edge of one verb: an unexpected error must not end the verbs of other sessions.
                call.error = error
                _LOG.exception("The verb %r of process %d failed.", name, pid)
                failed = GenerationError("The process that holds the model failed; its log says why.")
                return verb_lines.write_error(failed)

    async def _execute(self, name: str, arguments: dict[str, Any], lines: "_SessionConnection", pid: int) -> object:
        if name == "drain":
            self._drain()
            return True
        if name == "status":
            return await self._status()
        if not VERBS[name].reports:
            self._sent_one(lines)
            return await getattr(self._llm, name)(**arguments)
        with self._admit():
            self._sessions.add(pid)
            if name == "chat":
                return await self._chat(arguments, lines)
            return await getattr(self._llm, name)(report=lines.report, **arguments)

    async def _chat(self, arguments: dict[str, Any], lines: "_SessionConnection") -> object:
        chunk = ChatChunk()
        async with aclosing(self._llm.chat(report=lines.report, **arguments)) as chunks:
            async for chunk in chunks:
                if chunk.result is None:
                    await lines.send(verb_lines.write_chunk(chunk))
        return chunk.result


class _SessionConnection:
    """The connection of one session: writes one line at a time, and a beat where no other line is due.

    `scope` is cancelled when the session closes its end or does not read.
    """

    def __init__(self, connection: LineSocket, scope: anyio.CancelScope) -> None:
        self._connection = connection
        self._scope = scope
        self.awaited = True
        """Whether the end of this process waits for its last line."""
        self._lock = anyio.Lock()
        self._progress: Progress | None = None
        self._sent: Progress | None = None
        self._last = anyio.current_time()

    def report(self, progress: Progress) -> None:
        """Store a step of progress, from any thread; `beat` sends the latest one."""
        self._progress = progress

    async def first(self) -> bytes:
        """Read the line of the session.

        Raises:
            LineTooLongError: the line is longer than `MAX_LINE`.
        """
        try:
            with anyio.fail_after(FIRST_LINE_S):
                return await self._connection.line(MAX_LINE)
        except (EOFError, OSError, TimeoutError):
            await self._end()

    async def send(self, line: Line) -> None:
        """Send one line; a session that does not read for `READ_S` counts as ended."""
        data = verb_lines.write_line(line)
        async with self._lock:
            try:
                with anyio.fail_after(READ_S):
                    await self._connection.send(data)
            except (OSError, TimeoutError):
                await self._end()
            self._last = anyio.current_time()

    async def cancel_at_end(self) -> None:
        """Cancel the scope when the session closes its end."""
        await self._connection.closed()
        self._scope.cancel()

    async def beat(self) -> None:
        """Send progress when it changes, and a beat where no other line was sent for `BEAT_S`."""
        while True:
            await anyio.sleep(PROGRESS_S)
            if (progress := self._progress) is not None and progress != self._sent:
                self._sent = progress
                await self.send(verb_lines.write_progress(progress))
            elif anyio.current_time() - self._last >= BEAT_S:
                await self.send({"beat": 1})

    async def _end(self) -> NoReturn:
        self._scope.cancel()
        await anyio.lowlevel.checkpoint()
        raise AssertionError("the scope is cancelled")
