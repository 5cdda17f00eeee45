"""A lease owner that stops, is killed or cannot write: no other session hangs, and the next call works."""

import os
import random
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from tests.clients import POLL_S, WAIT_S
from tests.sharing.sessions import (
    ENDLESS,
    GREETING,
    ask,
    begin,
    control,
    failure,
    holder_of,
    remote,
    report,
    runtime,
    sessions,
)
from tests.wire import Wire, open_wire

NO_ROOM = ("/bin/sh", "-c", f"ulimit -f 0; exec {sys.executable} -m mcp_local_llm")
"""A server that can write no byte into a file, as on a full disk."""


@pytest.mark.fault(
    "Signals to the server",
    "SIGTSTP and SIGTTOU, which Ctrl-Z and `stty tostop` in the client's terminal send",
    promised="it is not stopped, for other sessions may wait for it",
)
async def test_the_terminal_of_a_client_does_not_stop_its_server(environ: dict[str, str], tries: int) -> None:
    async with sessions(environ, 1) as (only,):
        for _ in range(tries):
            only.process.send_signal(signal.SIGTSTP)
            only.process.send_signal(signal.SIGTTOU)
            assert await ask(only) == GREETING


PARENT = f"""
import subprocess, sys
server = subprocess.Popen([{sys.executable!r}, "-m", "mcp_local_llm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
# A child of the parent keeps the pipes open, as a shell's background job does.
keeper = subprocess.Popen(["sleep", "600"], stdin=server.stdout, stdout=server.stdin)
if sys.argv[1] == "serving":
    server.stdin.write(b'{{"jsonrpc":"2.0","id":1,"method":"ping"}}\\n')
    server.stdin.flush()
    server.stdout.readline()
print(server.pid, keeper.pid, flush=True)
sys.stdin.read()
"""

UNTIL_THE_PARENT_DIES = """
import os, sys, time
class Wait:
    def find_spec(self, name, path, target=None):
        if name == "mcp_local_llm.start":
            parent = os.getppid()
            open(os.path.join(os.environ["HOME"], "importing"), "w").close()
            while os.getppid() == parent:
                time.sleep(0.01)
sys.meta_path.insert(0, Wait())
"""
"""Makes the server's own imports take until its parent has died."""


@pytest.mark.parametrize("state", ["serving", "importing"])
async def test_a_server_whose_parent_has_died_ends_though_its_pipes_stay_open(
    environ: dict[str, str], home: Path, tmp_path: Path, state: str
) -> None:
    if state == "importing":
        (tmp_path / "sitecustomize.py").write_text(UNTIL_THE_PARENT_DIES)
        environ |= {"PYTHONPATH": os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))}
    command = [sys.executable, "-c", PARENT, state]
    parent = await anyio.open_process(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    async with parent:
        assert parent.stdout is not None
        server, keeper = map(int, (await parent.stdout.receive()).split())
        try:
            handle = os.pidfd_open(server)
            with anyio.fail_after(WAIT_S):
                while state == "importing" and not (home / "importing").exists():
                    await anyio.sleep(POLL_S)
            parent.kill()
            with anyio.fail_after(WAIT_S):
                await anyio.wait_readable(handle)
            os.close(handle)
        finally:
            os.kill(keeper, signal.SIGKILL)
            with suppress(ProcessLookupError):
                os.kill(server, signal.SIGKILL)


@pytest.mark.fault(
    "Disks and folders",
    "the process that holds the model can write no byte into its lock file",
    "it answers, and others find it",
    tries=3,
)
async def test_a_session_that_cannot_write_still_answers_and_is_shared(environ: dict[str, str], attempt: int) -> None:
    async with open_wire(environ, command=NO_ROOM) as holder, sessions(environ, 1) as (other,):
        assert await ask(holder) == GREETING
        assert await ask(other) == GREETING
        assert (await control(environ))["pid"] == holder.process.pid
        assert (await report(other, "status"))["holder_pid"] == holder.process.pid


@pytest.mark.fault(
    "Locks and clocks",
    "a folder is in the place of the lock of two sessions",
    "both name it, and both work once it is gone",
    tries=3,
)
async def test_a_folder_in_place_of_the_lock_is_named_and_nothing_stays_locked(
    environ: dict[str, str], attempt: int
) -> None:
    lock = runtime(environ) / "holder.lock"
    lock.mkdir(mode=0o700, parents=True)
    lock.parent.chmod(0o700)
    async with sessions(environ, 2) as (first, second):
        for session in (first, second):
            told = await failure(session, await session.call("chat", message="Hello"))
            assert str(lock) in told
            assert "cannot be used" in told
        lock.rmdir()
        assert await ask(first) == await ask(second) == GREETING


async def found_again(session: Wire, holder: Wire) -> None:
    """Wait until a session finds the holder."""
    with anyio.fail_after(WAIT_S):
        while (await report(session, "status"))["model"] is None:
            await anyio.sleep(POLL_S)
    assert await ask(session) == GREETING
    assert (await report(session, "status"))["holder_pid"] == holder.process.pid


@pytest.mark.parametrize(
    "kind", ["a FIFO", "a file", "a dangling link", "a socket of nobody", "a folder", "a socket that nobody may use"]
)
async def test_a_socket_that_was_replaced_is_made_anew(environ: dict[str, str], kind: str) -> None:
    path = runtime(environ) / "holder.sock"
    async with sessions(environ, 2) as (holder, other):
        await ask(holder)
        if kind != "a socket that nobody may use":
            path.unlink()
        match kind:
            case "a socket that nobody may use":
                path.chmod(0)
            case "a FIFO":
                os.mkfifo(path)
            case "a file":
                path.write_text("x")
            case "a dangling link":
                path.symlink_to("nowhere")
            case "a folder":
                path.mkdir()
            case _:
                with socket.socket(socket.AF_UNIX) as nobody:
                    nobody.bind(str(path))
        told = await report(other, "status")
        assert told["model"] or told["holder_pid"] == holder.process.pid
        if kind == "a folder":
            path.rmdir()
        with anyio.fail_after(WAIT_S):
            while not (path.is_socket() and path.stat().st_mode & 0o777 == 0o600):
                await anyio.sleep(POLL_S)
        await found_again(other, holder)


async def test_a_runtime_folder_that_was_away_is_used_again(environ: dict[str, str]) -> None:
    folder = runtime(environ)
    away = folder.with_name("away")
    async with sessions(environ, 2) as (holder, other):
        await ask(holder)
        folder.rename(away)
        folder.write_text("in the way")
        with anyio.fail_after(WAIT_S):
            while "do not find this process" not in holder.errors():
                await anyio.sleep(POLL_S)
        folder.unlink()
        away.rename(folder)
        await found_again(other, holder)


@pytest.mark.slow
async def test_unload_is_refused_while_others_use_the_model_and_can_be_forced(environ: dict[str, str]) -> None:
    async def unload(*flags: str) -> "subprocess.CompletedProcess[bytes]":
        command = [sys.executable, "-m", "mcp_local_llm", "unload", *flags]
        return await anyio.run_process(command, env=environ, check=False)

    async with sessions(environ, 2) as (holder, other):
        await ask(holder)
        running = await begin(other)
        refused = await unload()
        assert refused.returncode == 2
        assert f"pid {other.process.pid} (1)" in refused.stderr.decode()
        forced = await unload("--force")
        assert forced.returncode == 0, forced.stderr
        assert await failure(other, running)
        assert (await report(other, "status"))["state"] == "unloaded"
        assert await ask(other) == GREETING


async def test_a_forced_unload_ends_calls_whose_model_was_still_being_loaded(environ: dict[str, str]) -> None:
    async with sessions(environ, 1) as (only,):
        request = await only.call("chat", **ENDLESS)
        with anyio.fail_after(WAIT_S):
            while (await report(only, "status"))["state"] != "loading":
                await anyio.sleep(POLL_S)
        assert (await remote(environ).unload(lambda progress: None, force=True)).state == "unloaded"
        assert "Send the request again" in await failure(only, request)
        assert await ask(only) == GREETING


async def survive_kills(environ: dict[str, str], count: int) -> None:
    """Kill the holder at random moments; every call ends, and the next one works."""
    moments = random.Random(7)
    async with sessions(environ, 1) as (keeper,):
        for _ in range(count):
            async with open_wire(environ) as holder:
                await ask(holder)
                assert holder_of(environ) == holder.process.pid
                await kill_in_a_call(holder, keeper, moments.random())
            assert await ask(keeper) == GREETING
            # The next holder is a fresh process again.
            await keeper.answer(await keeper.call("status"))
            await hand_over(environ, keeper)


async def kill_in_a_call(holder: Wire, keeper: Wire, moment: float) -> None:
    """Send a call and kill the holder when a part of the call's usual time has passed."""
    request = await keeper.call("chat", message="Hello")
    with anyio.move_on_after(moment * 0.3):
        await keeper.answer(request)
    holder.process.kill()
    result = (await keeper.answer(request))["result"]
    text = result["content"][0]["text"]
    assert text == GREETING or (result["isError"] and "Send the request again" in text), text


async def hand_over(environ: dict[str, str], keeper: Wire) -> None:
    """Let the keeper give the lease up, as for a newer version."""
    if holder_of(environ) == keeper.process.pid:
        await remote(environ).drain()
        with anyio.fail_after(WAIT_S):
            while holder_of(environ) is not None:
                await anyio.sleep(POLL_S)


@pytest.mark.fault(
    "Signals to the holder with three sessions attached",
    "SIGKILL at any moment of an attached session's short call",
    promised="the call is answered or says that it can be sent again; the next call is answered",
)
async def test_a_holder_that_is_killed_at_any_moment_hangs_nobody(environ: dict[str, str], tries: int) -> None:
    await survive_kills(environ, tries)


async def test_a_name_of_megabytes_holds_nobody_up(environ: dict[str, str]) -> None:
    async with sessions(environ, 2) as (holder, other):
        assert await ask(holder) == GREETING
        for name in ("x" * 2_000_000, "a b " * 100_000):
            request = await other.call("chat", message="Hello", model=name)
            assert await ask(holder) == GREETING
            assert "at most 300" in await failure(other, request)
