"""The supervisor alone: a program between an owner and a server."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from mcp_local_llm.engines.servers import supervisor
from tests.clients import WAIT_S

PROGRAM = Path(supervisor.__file__)


def supervised(*command: str) -> "subprocess.Popen[bytes]":
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(PROGRAM), "0.2", *command], stdin=pipe, stdout=pipe, stderr=pipe
    )


def finished(process: "subprocess.Popen[bytes]", *, request_stop: bool) -> tuple[int, bytes]:
    """Its exit code and output; `request_stop` closes the lifeline first, as the end of its owner does."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    if request_stop:
        process.stdin.close()
    code = process.wait(WAIT_S)
    process.stdin.close()
    with process.stdout, process.stderr:
        return code, process.stdout.read()


def test_it_ends_with_the_code_of_its_server_and_passes_its_words_on() -> None:
    server = supervised("/bin/sh", "-c", "echo out; echo err >&2; exit 7")
    assert finished(server, request_stop=False) == (7, b"out\nerr\n")


def test_a_signal_that_ended_the_server_shows_as_in_a_shell() -> None:
    server = supervised("/bin/sh", "-c", "kill -SEGV $$")
    assert finished(server, request_stop=False)[0] == 128 + signal.SIGSEGV


def test_a_program_that_is_not_there_is_said() -> None:
    code, said = finished(supervised("/nowhere/server"), request_stop=False)
    assert code == 127
    assert b"No such file or directory: '/nowhere/server'" in said


def test_the_end_of_its_owner_asks_the_server_to_end() -> None:
    # In Python, because a shell whose child the same signal ends may print "Terminated" first.
    leaves = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit('bye')); "
    server = supervised(sys.executable, "-c", leaves + "print('up', flush=True); time.sleep(1000)")
    assert server.stdout is not None
    assert server.stdout.readline() == b"up\n"
    assert finished(server, request_stop=True)[1] == b"bye\n"


def test_a_server_that_does_not_end_is_killed() -> None:
    server = supervised("/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done")
    assert server.stdout is not None
    assert server.stdout.readline() == b"up\n"
    assert finished(server, request_stop=True)[0] == 128 + signal.SIGKILL


def test_a_request_to_end_ends_the_server_as_well() -> None:
    server = supervised("/bin/sh", "-c", "echo up; exec sleep 1000")
    assert server.stdout is not None
    assert server.stdout.readline() == b"up\n"
    os.kill(server.pid, signal.SIGTERM)
    assert finished(server, request_stop=False)[0] == 128 + signal.SIGTERM


def test_the_server_reads_a_silence_that_does_not_end() -> None:
    reads = "import select, sys; print(select.select([sys.stdin], [], [], 0.2)[0])"
    assert finished(supervised(sys.executable, "-c", reads), request_stop=False) == (0, b"[]\n")
