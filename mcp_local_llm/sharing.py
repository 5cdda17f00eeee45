"""The status of a machine on which another process may hold the model."""

from typing import Any, Protocol

from mcp_local_llm.engine import HolderReport, ReportProgress
from mcp_local_llm.errors import LocalLLMError
from mcp_local_llm.model import ModelInfo
from mcp_local_llm.reports import Status

HOLDERS_WORD = ("state", "model", "progress", "calls_running", "last_error", "engine_bytes", "prefix_cache_bytes")
"""What of a status the holder knows better than a session that is attached to it."""


class Sharing(Protocol):
    """Who else on this machine may hold the model."""

    def elsewhere(self) -> bool:
        """Whether another process holds it now."""
        ...

    async def holder_report(self) -> HolderReport | None:
        """How that process stands; None where there is none."""
        ...

    async def settle(self, model: ModelInfo, report: ReportProgress) -> None:
        """Let that process, where there is one, make `model` resident."""
        ...


class Alone:
    """Nobody else: each process holds its own model."""

    def elsewhere(self) -> bool:
        """Say no."""
        return False

    async def holder_report(self) -> HolderReport | None:
        """Tell of nobody."""
        return None

    async def settle(self, model: ModelInfo, report: ReportProgress) -> None:
        """Do nothing."""


async def with_holder(own: Status, sharing: Sharing) -> Status:
    """Return a session's status with the holder's word in it; unchanged where no other process holds the model."""
    try:
        told = await sharing.holder_report()
    except LocalLLMError as error:
        return own.model_copy(update={"notes": [*own.notes, str(error)]})
    if told is None:
        return own
    known: dict[str, Any] = {name: told.status[name] for name in HOLDERS_WORD if name in told.status}
    who = {"holder_pid": told.pid, "clients": len(told.clients), "waiting": told.waiting}
    return Status.model_validate({**own.model_dump(), **known, **who})
