"""The lease owner's part of a session: it listens, counts the verbs that run here, and gives the lease up in order."""

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
"""Seconds in which this process, asked to leave by a newer one, does not take the lease again."""

LEAVING = "The process that holds the model finishes its last answers and then leaves. Send the request again."

_LOG = logging.getLogger(__name__)


class Ownership:
    """Takes the lease together with its socket, and gives both up together."""

    def __init__(self, lease: Lease, version: str, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._lease = lease
        self._version = version
        self._sleep = sleep
        self.tasks: TaskGroup | None = None
        """Where the server and the end of an ownership run; set while the session is entered."""
        self._local: Local | None = None
        self._server: VerbServer | None = None
        self._open = 0
        self._others = 0
        self._leaving = False
        self._fewer = anyio.Event()

    def take(self, local: "Local") -> bool:
        """Take the lease for `local` and listen, unless another process has it; returns whether this one has.

        Raises:
            ConfigError: the folder for the lock and the socket cannot be used; the lease stays free.
            HolderGoneError: this process has just given the lease up for a newer one.
        """
        if self._lease.held:
            return True
        if self._leaving:
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
            # An owner that nobody can reach would shut the other sessions out.
            self._lease.release()
            raise
        return True

    def _make_server(self, local: "Local") -> "VerbServer":
        # Imported here: a session that stays attached answers nobody, and psutil takes time and memory.
        from mcp_local_llm.llm.verb_server import VerbServer

        return VerbServer(self._lease.socket, local, status=self._status, entered=self._entered, drain=self._drain)

    def seen(self, status: Status) -> Status:
        """Return `status` with who holds the lease and how many other sessions are attached."""
        attached = self._server.sessions() if self._server is not None else ()
        return status.model_copy(update={"holder_pid": os.getpid(), "clients": len(attached)})

    @contextmanager
    def running(self) -> Generator[None]:
        """Count a verb that runs here; where the last one fails and leaves no model, the lease is given up.

        Raises:
            HolderGoneError: this process takes no new verbs.
        """
        if self._leaving:
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
            if failed and not self._open and self._local is not None and self._local.empty():
                self._give_up()

    async def finish_others(self, within: float) -> None:
        """Take no new verbs, and wait until other sessions' running ones are done, at most `within` seconds."""
        self._leaving = True
        with anyio.move_on_after(within):
            while self._others:
                await self._fewer.wait()

    def end(self) -> None:
        """Cut what runs for other sessions."""
        if self.tasks is not None:
            self.tasks.cancel_scope.cancel()

    async def _status(self) -> Status:
        assert self._local is not None, "the server is open"
        return self.seen(await self._local.status())

    @contextmanager
    def _entered(self) -> Generator[None]:
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
        self._fewer.set()
        self._fewer = anyio.Event()

    def _give_up(self) -> None:
        """Let another process take the lease. No other session's verb runs, so nothing is cut."""
        if self._server is not None and self._lease.held:
            self._server.close()
            self._lease.release()

    def _drain(self) -> None:
        """Begin to leave for a newer process."""
        if not self._leaving and self.tasks is not None:
            self._leaving = True
            self.tasks.start_soon(self._leave)

    async def _leave(self) -> None:
        try:
            while self._open:
                await self._fewer.wait()
            if self._local is not None:
                await self._local.unload(_ignore)
        except LocalLLMError as error:
            _LOG.warning("The model could not be unloaded for a newer process: %s", error)
        self._give_up()
        # This process's own waiting calls would take the lease back at once; the other one tries ten times a second.
        with anyio.move_on_after(HANDOVER_S):
            while not self._lease.elsewhere():
                await self._sleep(HANDOVER_S / 40)
        self._leaving = False


def _ignore(progress: Progress) -> None:
    """Drop the progress of an unload."""
