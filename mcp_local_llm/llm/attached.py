"""The attached sessions: processes that have used the model over the socket and still run.

A session connects for each verb, so its connections do not tell whether it is still there; its process does.
"""

import psutil


class AttachedSessions:
    """Remembers the processes that have asked, and forgets those that have ended."""

    def __init__(self) -> None:
        self._known: dict[int, psutil.Process] = {}

    def met(self, pid: int) -> None:
        """Note a process that asks; one that has ended meanwhile is passed over."""
        if pid in self._known and _runs(self._known[pid]):
            return
        self._forget()
        try:
            self._known[pid] = psutil.Process(pid)
        except psutil.Error:
            self._known.pop(pid, None)

    def pids(self) -> tuple[int, ...]:
        """Return the processes that have asked and still run, in their order."""
        self._forget()
        return tuple(sorted(self._known))

    def _forget(self) -> None:
        self._known = {pid: process for pid, process in self._known.items() if _runs(process)}


def _runs(process: psutil.Process) -> bool:
    """Say whether this very process runs: its number may be another's by now, or that of one nobody has waited for."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
