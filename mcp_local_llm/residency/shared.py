"""One model for all sessions: load here while holding the lease, or attach to the process that holds it.

Every session has its own `SharedBackend`. It decides by the lease alone, never by a guess about who might be alive,
and knows no engine: the two ways to a model are backends, and the door for the others is a protocol.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

import anyio

from mcp_local_llm.engine import Backend, Engine, HolderReport, HolderSwitch, Progress, ReportProgress
from mcp_local_llm.errors import BackendUnavailableError, ConfigError, HolderGoneError, ModelError
from mcp_local_llm.model import ModelInfo
from mcp_local_llm.residency.lease import Lease

RETRY_S = 0.1
"""Between two looks at a holder that does not answer: it may be starting its socket, or ending."""
PATIENCE_S = 10.0
"""Seconds until the caller is told that a holder does not answer; a start of the socket takes less than one."""


class Door(Protocol):
    """Where the holder answers the other sessions."""

    async def open(self) -> None:
        """Begin to answer on the lease's socket; does nothing when it is open already."""
        ...

    def sessions(self) -> tuple[int, ...]:
        """Return the other processes that use the model through it."""
        ...


class Holder(Protocol):
    """The process that holds the model, seen from another one."""

    async def load(self, model: ModelInfo, report: ReportProgress) -> Engine:
        """Attach: let the holder make `model` resident, and return the engine that asks it.

        Raises:
            HolderGoneError: it leaves or has gone, and has not begun to load.
            BackendUnavailableError: it died while it loaded.
        """
        ...

    async def settle(self, model: ModelInfo, report: ReportProgress) -> HolderSwitch:
        """Let the holder make `model` resident, and say what that changed there. Raises as `load`."""
        ...

    async def leaving(self) -> bool:
        """Whether the holder is about to leave; one with an older version than this process is asked to.

        It finishes its answers first, and tells so for as long as that takes.

        Raises:
            BackendUnavailableError: nobody answers on the socket.
            BackendProtocolError: it is newer than this process, and does not understand it.
        """
        ...

    async def report(self) -> HolderReport:
        """Let the holder tell how it stands, within seconds.

        Raises:
            BackendError: it does not answer.
        """
        ...


RequireRoom = Callable[[ModelInfo], Awaitable[None]]
"""Lets a model pass that fits into the memory of this moment; raises `InsufficientMemoryError` for any other."""


class SharedBackend:
    """Loads into this process or attaches to another; which of the two, the lease decides for each load."""

    def __init__(
        self,
        *,
        lease: Lease,
        version: str,
        local: Backend,
        holder: Holder,
        door: Door,
        require_room: RequireRoom,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lease = lease
        self._version = version
        self._local = local
        self._holder = holder
        self._door = door
        self._require_room = require_room
        self._sleep = sleep
        self._clock = clock

    async def load(self, model: ModelInfo, report: ReportProgress) -> Engine:
        """Make `model` resident on this machine.

        Raises:
            ModelLoadError: the files cannot be loaded, here or by the holder.
            InsufficientMemoryError: there was a holder to see to it, it has gone, and the model does not fit here.
            BackendUnavailableError: a process holds the lease and does not answer, or died while it loaded.
            ConfigError: the folder for the lock and the socket cannot be used.
        """
        if model.endpoint is not None:
            # A server elsewhere is shared by nature.
            return await self._local.load(model, report)
        heard = self._clock()
        while self._clock() - heard < PATIENCE_S:
            held = self._lease.held
            if self._lease.take(self._version):
                return await self._load_here(model, report, anew=not held)
            standing = await self._standing()
            if standing == "there" and (engine := await self._attached(model, report)) is not None:
                return engine
            if standing == "leaving":
                heard = self._clock()
            report(Progress("loading"))
            await self._sleep(RETRY_S)
        holder = self._lease.holder()
        who = f"process {holder.pid} (version {holder.version})" if holder else "another process"
        raise BackendUnavailableError(
            f"The model is held by {who}, which does not answer. End that process, then send the request again."
        )

    async def settle(self, model: ModelInfo, report: ReportProgress) -> HolderSwitch | None:
        """Let the holder, where it is another process, make `model` resident, whatever this process last saw there.

        Returns what that changed there; None where there is no such holder (any more).

        Raises:
            LocalLLMError: see `load`.
        """
        if model.endpoint is not None or not self._lease.elsewhere():
            return None
        try:
            return await self._holder.settle(model, report)
        except HolderGoneError:
            # The load that follows replaces it.
            return None

    async def _load_here(self, model: ModelInfo, report: ReportProgress, *, anew: bool) -> Engine:
        try:
            if anew:
                # Whoever asked may have seen a holder, which looks after its memory itself, and it has gone since.
                await self._require_room(model)
            await self._door.open()
        except (ConfigError, ModelError):
            # A holder that nobody can reach would shut the others out. A load that fails leaves it the holder: they
            # ask it to load what they need.
            self._lease.release()
            raise
        return await self._local.load(model, report)

    async def _standing(self) -> Literal["there", "leaving", "silent"]:
        try:
            return "leaving" if await self._holder.leaving() else "there"
        except BackendUnavailableError:
            # It is starting its socket, or it is gone and the lease is free in a moment.
            return "silent"

    async def _attached(self, model: ModelInfo, report: ReportProgress) -> Engine | None:
        """Attach; None where the holder has not begun, for it is starting, leaving or gone."""
        try:
            return await self._holder.load(model, report)
        except HolderGoneError:
            return None

    def elsewhere(self) -> bool:
        """Whether another process holds the model now; its memory and its checks then decide."""
        return self._lease.elsewhere()

    def sessions(self) -> tuple[int, ...] | None:
        """Return the other processes that use the model of this one; None where this one does not hold it."""
        return self._door.sessions() if self._lease.held else None

    async def holder_report(self) -> HolderReport | None:
        """Ask the holder how it stands; None where no other process holds the model, or it is just leaving.

        Raises:
            BackendUnavailableError: it does not answer.
            BackendProtocolError: it answers nonsense.
        """
        if not self._lease.elsewhere():
            return None
        try:
            return await self._holder.report()
        except BackendUnavailableError:
            if not self._lease.elsewhere():
                return None
            raise

    def fault(self) -> str | None:
        """Say why the models of this process cannot be used now; see `Backend.fault`."""
        return self._local.fault()

    def close(self) -> None:
        """End what runs in the background; the lease goes with the process."""
        self._local.close()
