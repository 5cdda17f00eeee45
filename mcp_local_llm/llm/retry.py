"""Decides how long a verb is retried that no lease owner has begun."""

from collections.abc import Awaitable, Callable

from mcp_local_llm.residency import Lease
from mcp_local_llm.values.errors import BackendUnavailableError, HolderGoneError
from mcp_local_llm.values.progress import Progress, ReportProgress

RETRY_S = 0.1
"""Seconds between two tries while a lease owner starts its socket or shuts down."""
OWNER_TIMEOUT_S = 10.0
"""Seconds after which a lease owner that does not listen is an error; the start of the socket takes less than one."""
LEAVING_S = 600.0
"""Seconds that a lease owner may take to finish its answers before it shuts down."""


class RetryPolicy:
    """The time limits of one verb, and the pause before its next try."""

    def __init__(self, lease: Lease, sleep: Callable[[float], Awaitable[None]], clock: Callable[[], float]) -> None:
        self._lease = lease
        self._sleep = sleep
        self._clock = clock
        self._started = self._last_answer = clock()

    async def wait(self, error: HolderGoneError, report: ReportProgress) -> None:
        """Wait until the next try.

        Raises:
            BackendUnavailableError: a time limit is over.
        """
        now = self._clock()
        if error.leaving:
            self._last_answer = now
        if now - self._last_answer >= OWNER_TIMEOUT_S or now - self._started >= LEAVING_S:
            owner = self._lease.owner()
            who = f"process {owner.pid} (version {owner.version})" if owner else "another process"
            raise BackendUnavailableError(
                f"The model is held by {who}, which does not answer. End that process, then send the request again."
            ) from error
        report(Progress("loading"))
        await self._sleep(RETRY_S)
