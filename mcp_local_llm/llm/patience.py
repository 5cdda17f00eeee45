"""How often, and for how long, a verb is tried again that a lease owner has not begun."""

from collections.abc import Awaitable, Callable

from mcp_local_llm.residency import Lease
from mcp_local_llm.values.errors import BackendUnavailableError, HolderGoneError
from mcp_local_llm.values.progress import Progress, ReportProgress

RETRY_S = 0.1
"""Between two tries while a lease owner starts its socket, ends or leaves."""
PATIENCE_S = 10.0
"""Seconds until a lease owner that does not listen is an error; a start of the socket takes less than one."""
LEAVING_S = 600.0
"""Seconds that a lease owner may take to finish its answers before it leaves."""


class Patience:
    """Decides for one verb whether it is tried again, and waits in between."""

    def __init__(self, lease: Lease, sleep: Callable[[float], Awaitable[None]], clock: Callable[[], float]) -> None:
        self._lease = lease
        self._sleep = sleep
        self._clock = clock
        self._begun = self._heard = clock()

    async def __call__(self, error: HolderGoneError, report: ReportProgress) -> None:
        """Wait a moment.

        Raises:
            BackendUnavailableError: it was tried long enough.
        """
        now = self._clock()
        if error.leaving:
            self._heard = now
        if now - self._heard >= PATIENCE_S or now - self._begun >= LEAVING_S:
            owner = self._lease.owner()
            who = f"process {owner.pid} (version {owner.version})" if owner else "another process"
            raise BackendUnavailableError(
                f"The model is held by {who}, which does not answer. End that process, then send the request again."
            ) from error
        report(Progress("loading"))
        await self._sleep(RETRY_S)
