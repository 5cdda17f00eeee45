"""The status of a machine on which this process, another one or none may hold the model."""

import os
from dataclasses import dataclass
from typing import Any, Protocol

from mcp_local_llm import __version__
from mcp_local_llm.budget import Memory
from mcp_local_llm.engine import HolderReport, HolderSwitch, ReportProgress
from mcp_local_llm.errors import LocalLLMError
from mcp_local_llm.model import ModelInfo
from mcp_local_llm.reports import Status
from mcp_local_llm.residency import ResidentState
from mcp_local_llm.tally import Counts

HOLDERS_WORD = (
    *("state", "model", "progress", "calls_running", "waiting", "clients"),
    *("last_error", "engine_bytes", "prefix_cache_bytes"),
)
"""What of a status the holder knows better than a session that is attached to it."""


class Sharing(Protocol):
    """Who else on this machine may hold the model."""

    def elsewhere(self) -> bool:
        """Whether another process holds it now."""
        ...

    def sessions(self) -> tuple[int, ...] | None:
        """Return the other processes that use the model of this one; None where this one does not hold it."""
        ...

    async def holder_report(self) -> HolderReport | None:
        """How that process stands; None where there is none."""
        ...

    async def settle(self, model: ModelInfo, report: ReportProgress) -> HolderSwitch | None:
        """Let that process, where there is one, make `model` resident, and say what that changed there."""
        ...


class Alone:
    """Nobody else: each process holds its own model."""

    def elsewhere(self) -> bool:
        """Say no."""
        return False

    def sessions(self) -> None:
        """Tell of nobody."""

    async def holder_report(self) -> HolderReport | None:
        """Tell of nobody."""
        return None

    async def settle(self, model: ModelInfo, report: ReportProgress) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Sight:
    """What a process sees of itself at one moment; `uptime_s` in seconds, `notes` one sentence each."""

    now: ResidentState
    counts: Counts
    memory: Memory
    chosen: str | None
    uptime_s: float
    notes: list[str]


def own_status(sight: Sight, sharing: Sharing) -> Status:
    """Tell how this process stands, at once: nothing here waits for a model, a lock or the network."""
    now, counts, sessions = sight.now, sight.counts, sharing.sessions()
    running = now.calls - now.waiting
    return Status(
        state=now.state,
        model=now.model.id if now.model else None,
        progress=str(now.progress) if now.progress else None,
        chosen=sight.chosen,
        calls_running=running,
        # A change of model runs no call, yet holds the model for a moment.
        waiting=max(counts.open - running, 0),
        calls_answered=counts.answered,
        completion_tokens=counts.completion_tokens,
        tokens_per_second=counts.tokens_per_second,
        last_error=now.last_error,
        memory_total_bytes=sight.memory.total,
        memory_available_bytes=sight.memory.available,
        engine_bytes=now.memory.active_bytes + now.memory.buffer_bytes if now.memory else None,
        prefix_cache_bytes=now.memory.prefix_bytes if now.memory else None,
        pid=os.getpid(),
        holder_pid=None if sessions is None else os.getpid(),
        clients=len(sessions or ()),
        uptime_seconds=round(sight.uptime_s, 3),
        version=__version__,
        notes=sight.notes,
    )


async def with_holder(own: Status, sharing: Sharing) -> Status:
    """Return a session's status with the holder's word in it; unchanged where no other process holds the model."""
    try:
        told = await sharing.holder_report()
    except LocalLLMError as error:
        return own.model_copy(update={"notes": [*own.notes, str(error)]})
    if told is None:
        return own
    known: dict[str, Any] = {name: told.status[name] for name in HOLDERS_WORD if name in told.status}
    return Status.model_validate({**own.model_dump(), **known, "holder_pid": told.pid})
