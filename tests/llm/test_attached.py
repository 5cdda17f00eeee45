"""Who counts as an attached session: a process that has asked, for as long as it runs."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

from mcp_local_llm.llm.attached import AttachedSessions
from tests.clients import WAIT_S


@contextmanager
def process() -> Generator["subprocess.Popen[bytes]"]:
    """A process that runs until its stdin ends."""
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as running:
        try:
            yield running
        finally:
            running.kill()


def test_a_process_that_has_asked_counts_once_until_it_ends() -> None:
    sessions = AttachedSessions()
    assert sessions.pids() == ()
    with process() as other:
        for pid in (os.getpid(), other.pid, other.pid):
            sessions.add(pid)
        assert sessions.pids() == tuple(sorted((os.getpid(), other.pid)))
        other.kill()
        # Ended, but nobody has waited for it: it is still in the list of processes.
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert sessions.pids() == (os.getpid(),)
    assert sessions.pids() == (os.getpid(),)


def test_a_process_that_is_gone_before_it_is_noted_does_not_count() -> None:
    sessions = AttachedSessions()
    with process() as other:
        other.kill()
        other.wait(WAIT_S)
    sessions.add(other.pid)
    assert sessions.pids() == ()
