"""The lease owner's part of a session: takes the lease, listens, counts verbs, and releases the lease."""

import logging
import os
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from mcp_local_llm.residency import Lease
from mcp_local_llm.values.errors import ConfigError, HolderGoneError, LocalLLMError
from mcp_local_llm.values.progress import Progress
from mcp_local_llm.values.results import Status

if TYPE_CHECKING:
    from mcp_local_llm.llm.local import Local
    from mcp_local_llm.llm.verb_server import VerbServer

HANDOVER_S = 2.0
"""Seconds in which this process does not take the lease again after a newer process asked it to shut down."""

LAST_LINES_S = 2.0
"""Seconds in which this process, when it ends, answers the sessions that it has greeted."""

WATCH_S = 2.0
"""Seconds between two looks at the files of the lease."""

LEAVING = "The process that holds the model finishes its last answers and then leaves. Send the request again."

_LOG = logging.getLogger(__name__)


class Ownership:
    """Takes the lease and opens its socket, and releases both together."""

    def __init__(self, lease: Lease, version: str, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._lease = lease
        self._version = version
        self._sleep = sleep
        self.tasks: TaskGroup | None = None
        """The task group of the server and of a shutdown; set while the session is entered."""
        self._local: Local | None = None
        self._server: VerbServer | None = None
        self._open = 0
        self._others = 0
        self._shutting_down = False
        self._verb_ended = anyio.Event()
        self._watching = False

    def take(self, local: "Local") -> bool:
        """Take the lease and listen, unless another process owns it; return whether this process owns it now.

        Raises:
            ConfigError: the folder for the lock and the socket cannot be used; the lease stays free.
            HolderGoneError: this process shuts its ownership down for a newer process.
        """
        if self._lease.held:
            return True
        if self._shutting_down:
            raise HolderGoneError(LEAVING, leaving=True)
        # Made first: from the moment in which this process holds the lease, other sessions look for its socket.
        server = self._server or self._make_server(local)
        if not self._lease.take(self._version):
            return False
        assert self.tasks is not None, "enter the session first"
        self._local = local
        self._server = server
        try:
            server.open(self.tasks)
        except ConfigError:
            # An owner without a socket would keep the other sessions from any model.
            self._lease.release()
            raise
        if not self._watching:
            self._watching = True
            self.tasks.start_soon(self._watch)
        return True

    async def _watch(self) -> None:
        """Make lock and socket anew where somebody removed or replaced them, so that there are not two owners for long.

        Programs that clean caches and temporary folders do that.
        """
        told = ""
        while self._lease.held:
            await anyio.sleep(WATCH_S)
            try:
                self._make_findable()
                told = ""
            except ConfigError as error:
                if told != (told := str(error)):
                    _LOG.warning("Other sessions do not find this process: %s", error)
        self._watching = False

    def _make_findable(self) -> None:
        """Take the lease again and open the socket again where other processes would not find them.

        Raises:
            ConfigError: it is not possible now. Lock and socket stay as they are: what hides them may go away.
        """
        server = self._server
        if server is None or not self._lease.held or (self._lease.intact and server.reachable):
            return
        assert self.tasks is not None
        owned = self._lease.renew(self._version)
        server.close()
        if owned:
            server.open(self.tasks)
        else:
            self._drain()

    def _make_server(self, local: "Local") -> "VerbServer":
        # Imported here: a session that stays attached answers nobody, and psutil takes time and memory.
        from mcp_local_llm.llm.verb_server import VerbServer

        return VerbServer(self._lease.socket, local, status=self._status, admit=self._admit, drain=self._drain)

    def with_owner(self, status: Status) -> Status:
        """Return `status` with this process as lease owner, and the number of attached sessions."""
        attached = self._server.sessions() if self._server is not None else ()
        return status.model_copy(update={"holder_pid": os.getpid(), "clients": len(attached)})

    @contextmanager
    def running(self) -> Generator[None]:
        """Count a verb that runs here; release the lease where the last one fails and no model is loaded.

        Raises:
            HolderGoneError: this process accepts no new verbs.
        """
        if self._shutting_down:
            raise HolderGoneError(LEAVING, leaving=True)
        failed = False
        self._open += 1
        try:
            yield
        except LocalLLMError:
            failed = True
            raise
        finally:
            self._open -= 1
            self._notify()
            if failed and not self._open and self._local is not None and self._local.is_unloaded():
                self._release()

    async def finish_others(self, within: float) -> None:
        """Accept no new verbs, and wait at most `within` seconds until other sessions have the end of theirs."""
        self._shutting_down = True
        with anyio.move_on_after(within):
            while self._others:
                await self._verb_ended.wait()
            if self._server is not None:
                # A session that is greeted and then left takes its verb for one that was begun.
                self._server.close()
                with anyio.move_on_after(LAST_LINES_S):
                    await self._server.sent()

    def end(self) -> None:
        """Cancel the verbs of other sessions."""
        if self.tasks is not None:
            self.tasks.cancel_scope.cancel()

    async def _status(self) -> Status:
        assert self._local is not None, "the server is open"
        return self.with_owner(await self._local.status())

    @contextmanager
    def _admit(self) -> Generator[None]:
        """Count another session's verb. Raises as `running`."""
        if not self._lease.held:
            raise HolderGoneError(LEAVING, leaving=True)
        with self.running():
            self._others += 1
            try:
                yield
            finally:
                self._others -= 1

    def _notify(self) -> None:
        self._verb_ended.set()
        self._verb_ended = anyio.Event()

    def _release(self) -> None:
        """Close the socket and release the lease. No other session's verb runs, so none is cancelled."""
        if self._server is not None and self._lease.held:
            self._server.close()
            self._lease.release()

    def _drain(self) -> None:
        """Start the shutdown for a newer process."""
        if not self._shutting_down and self.tasks is not None:
            self._shutting_down = True
            self.tasks.start_soon(self._shut_down)

    async def _shut_down(self) -> None:
        try:
            while self._open:
                await self._verb_ended.wait()
            if self._local is not None:
                await self._local.unload(_ignore)
        except LocalLLMError as error:
            _LOG.warning("The model could not be unloaded for a newer process: %s", error)
        self._release()
        # This process's own waiting calls would take the lease at once; the newer process tries ten times a second.
        with anyio.move_on_after(HANDOVER_S):
            while not self._lease.elsewhere():
                await self._sleep(HANDOVER_S / 40)
        self._shutting_down = False


def _ignore(progress: Progress) -> None:
    """Drop the progress of an unload."""
