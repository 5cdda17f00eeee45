"""The attached sessions: processes that have sent a verb over the socket and still run.

A session connects for each verb, so its process, not its connections, shows whether it still runs.
"""

import psutil


class AttachedSessions:
    """The set of attached processes; ended processes are removed."""

    def __init__(self) -> None:
        self._known: dict[int, psutil.Process] = {}

    def add(self, pid: int) -> None:
        """Add the process of a verb, unless it has ended already."""
        if pid in self._known and _runs(self._known[pid]):
            return
        self._remove_ended()
        try:
            self._known[pid] = psutil.Process(pid)
        except psutil.Error:
            self._known.pop(pid, None)

    def pids(self) -> tuple[int, ...]:
        """Return the ids of the processes that still run, sorted."""
        self._remove_ended()
        return tuple(sorted(self._known))

    def _remove_ended(self) -> None:
        self._known = {pid: process for pid, process in self._known.items() if _runs(process)}


def _runs(process: psutil.Process) -> bool:
    """Return whether this process runs; its id may belong to a zombie or, reused, to another process."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
