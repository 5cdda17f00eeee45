"""The holder goes: what is under way says so, and what comes next works."""

import os
import signal
import subprocess
import sys

import anyio
import httpx
import pytest

from tests.clients import WAIT_S
from tests.doors.http.test_serve import serve
from tests.sharing.sessions import (
    GREETING,
    ask,
    begin,
    control,
    failure,
    holder_of,
    imported_mlx,
    remote,
    report,
    runtime,
    sessions,
)
from tests.wire import open_wire

TOLD_WITHIN_S = 2.0

OLDER = (
    "import sys, mcp_local_llm; mcp_local_llm.__version__ = sys.argv[1];"
    "import os; from mcp_local_llm.start import run_stdio; run_stdio(os.getppid())"
)
"""A server that takes itself for another version."""

NOBODY = 65534
INTRUDER = f"""
import os, socket, sys
client = socket.socket(socket.AF_UNIX)
client.settimeout(30)
os.chdir(sys.argv[1])
# As if somebody had opened the folder by hand: the holder must look for itself.
os.chmod("holder.sock", 0o666)
os.chmod(".", 0o711)
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
try:
    client.connect("holder.sock")
    client.sendall(b'{{"protocol": 2, "version": "9", "verb": "status", "arguments": {{}}}}\\n')
    print(client.recv(100) or "refused")
except (ConnectionResetError, BrokenPipeError):
    print("refused")
"""


async def test_a_holder_that_ends_in_the_middle_is_told_at_once_and_replaced(environ: dict[str, str]) -> None:
    async with sessions(environ, 3) as (holder, other, third):
        assert await ask(holder) == await ask(third) == GREETING
        request = await begin(other)
        with anyio.fail_after(TOLD_WITHIN_S):
            holder.process.kill()
            told = await failure(other, request)
        assert "ended before" in told
        assert "Send the request again" in told
        # Both attached sessions call at once; one of them takes over, and the other attaches to it.
        requests = [await session.call("chat", message="Hello") for session in (third, other)]
        assert [await session.text(request) for session, request in zip((third, other), requests, strict=True)] == [
            GREETING,
            GREETING,
        ]
        assert [imported_mlx(session.process.pid) for session in (third, other)].count(True) == 1
        await holder.ended(within=5)
        assert "Traceback" not in holder.errors()


@pytest.mark.slow
async def test_a_holder_whose_client_leaves_finishes_what_other_sessions_have_begun(environ: dict[str, str]) -> None:
    async with sessions(environ, 3) as (holder, other, third):
        assert await ask(holder) == GREETING
        request = await begin(other, max_tokens=400)
        await holder.close_stdin()
        # It takes nothing new: the next call is answered by a process that has taken the lease after it.
        assert await ask(third) == GREETING
        assert "la" in await other.text(request)
        assert await holder.ended() == 0
        assert holder_of(environ) == third.process.pid


@pytest.mark.slow
async def test_a_holder_that_ends_while_nobody_asks_is_replaced_without_an_error(environ: dict[str, str]) -> None:
    async with sessions(environ, 3) as (holder, other, third):
        assert await ask(holder) == await ask(other) == await ask(third) == GREETING
        holder.process.kill()
        await holder.ended()
        assert (await report(other, "status"))["state"] == "unloaded"
        assert await ask(other) == GREETING
        assert holder_of(environ) == other.process.pid
        other.process.kill()
        await other.ended()
        await report(third, "set_model", name="tiny")
        assert (await report(third, "status"))["state"] == "ready"
        assert imported_mlx(third.process.pid)


@pytest.mark.slow
async def test_an_older_holder_finishes_and_leaves_and_then_attaches_to_the_newer(environ: dict[str, str]) -> None:
    old_server = (sys.executable, "-c", OLDER, "0.0.1")
    async with open_wire(environ, command=old_server) as old, sessions(environ, 1) as (new,):
        assert await ask(old) == GREETING
        assert holder_of(environ) == old.process.pid
        running = await old.call("chat", message="Repeat the word la forever.", thinking=False, max_tokens=400)
        await old.progress(running, 2)
        assert await ask(new) == GREETING
        # Its own answer was finished before it left.
        assert "la" in await old.text(running)
        assert (holder_of(environ), (await control(environ))["pid"]) == (new.process.pid, new.process.pid)
        assert await ask(old) == GREETING
        told = await report(old, "status")
        assert (told["holder_pid"], told["version"]) == (new.process.pid, "0.0.1")


@pytest.mark.slow
async def test_a_call_to_a_holder_that_is_leaving_is_answered_by_the_next_one(environ: dict[str, str]) -> None:
    async with sessions(environ, 3) as (holder, other, third):
        assert await ask(holder) == await ask(other) == GREETING
        running = await begin(third, max_tokens=400)
        await remote(environ).drain()
        assert await ask(other) == GREETING
        assert "la" in await third.text(running)
        assert holder_of(environ) == other.process.pid
        assert await ask(holder) == await ask(third) == GREETING


@pytest.mark.slow
async def test_serve_and_a_session_share_one_model_whichever_is_first(environ: dict[str, str]) -> None:
    question = {"model": "", "messages": [{"role": "user", "content": "Hello"}]}
    with serve(environ, "--model", "tiny") as served:
        await anyio.to_thread.run_sync(lambda: httpx.post(f"{served.url}/chat/completions", json=question, timeout=60))
        async with open_wire(environ) as session:
            assert await ask(session) == GREETING
            assert (await report(session, "status"))["holder_pid"] == served.process.pid
            served.stop(signal.SIGTERM)
            assert await ask(session) == GREETING
            assert holder_of(environ) == session.process.pid
            with serve(environ) as attached:
                url = f"{attached.url}/chat/completions"
                reply = await anyio.to_thread.run_sync(lambda: httpx.post(url, json=question, timeout=60))
                assert reply.json()["choices"][0]["message"]["content"] == GREETING
                assert not imported_mlx(attached.process.pid)
                assert attached.stop(signal.SIGTERM) == (0, "", "")


async def test_a_standing_server_holds_the_lease_before_anything_is_loaded(environ: dict[str, str]) -> None:
    with serve(environ) as served:
        async with open_wire(environ) as session:
            assert await ask(session) == GREETING
            assert not imported_mlx(session.process.pid)
            assert (await report(session, "status"))["holder_pid"] == served.process.pid


@pytest.mark.fault(
    "A second user of the machine",
    "another user connects to the socket after its folder was opened by hand",
    promised="refused by the user id that the kernel tells, and logged; the session is answered",
    tries=1,
)
async def test_the_process_of_another_user_is_refused(environ: dict[str, str]) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    async with open_wire(environ) as session:
        assert await ask(session) == GREETING
        done = subprocess.run(
            [sys.executable, "-c", INTRUDER, str(runtime(environ))],
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr
        assert f"a connection of user {NOBODY} was refused" in session.errors()
        assert await ask(session) == GREETING
