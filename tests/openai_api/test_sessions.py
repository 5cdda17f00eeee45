"""Who counts as an attached session: a process that has asked, for as long as it runs."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

from mcp_local_llm.openai_api.sessions import Sessions
from mcp_local_llm.openai_api.traffic import Client, Traffic
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
    sessions = Sessions()
    assert sessions.pids() == ()
    with process() as other:
        for pid in (os.getpid(), other.pid, other.pid):
            sessions.met(pid)
        assert sessions.pids() == tuple(sorted((os.getpid(), other.pid)))
        other.kill()
        # Ended, but nobody has waited for it: it is still in the list of processes.
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert sessions.pids() == (os.getpid(),)
    assert sessions.pids() == (os.getpid(),)


def test_a_process_that_is_gone_before_it_is_noted_does_not_count() -> None:
    sessions = Sessions()
    with process() as other:
        other.kill()
        other.wait(WAIT_S)
    sessions.met(other.pid)
    assert sessions.pids() == ()


def test_only_those_that_come_over_the_socket_are_sessions() -> None:
    traffic = Traffic()
    with traffic.answering(Client("curl at 127.0.0.1")), traffic.answering(Client("session 7", os.getpid())):
        assert traffic.state().clients == ("curl at 127.0.0.1", "session 7")
        assert traffic.sessions() == (os.getpid(),)
    assert traffic.state().clients == ()
    assert traffic.sessions() == (os.getpid(),)
