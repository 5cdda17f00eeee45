"""Several sessions, one model in memory."""

import asyncio
import sys
from pathlib import Path

import anyio
import pytest

from tests.clients import WAIT_S
from tests.sharing.sessions import (
    ENDLESS,
    GREETING,
    LARGE,
    SMALL,
    ask,
    begin,
    control,
    holder_of,
    imported_mlx,
    loads,
    report,
    resident_megabytes,
    runtime,
    sessions,
    until,
)
from tests.wire import Wire, open_wire

ATTACHED_MB = 120


@pytest.mark.slow
async def test_of_eight_that_race_one_loads_the_model_and_the_others_stay_small(environ: dict[str, str]) -> None:
    async with sessions(environ, 8) as eight:
        requests = [await session.call("chat", message="Hello") for session in eight]
        texts = [await session.text(request) for session, request in zip(eight, requests, strict=True)]
        assert texts == 8 * [GREETING]
        assert await loads(environ) == 1
        pids = [session.process.pid for session in eight]
        (holder,) = (pid for pid in pids if imported_mlx(pid))
        assert (await control(environ))["pid"] == holder_of(environ) == holder
        assert [(await report(session, "status"))["holder_pid"] for session in eight] == 8 * [holder]
        sizes = {pid: resident_megabytes(pid) for pid in pids if pid != holder}
        assert {pid: size for pid, size in sizes.items() if size > ATTACHED_MB} == {}
        answers = [await ask(session, "What is 2 + 3?", temperature=0.0) for session in eight]
        assert len(set(answers)) == 1


async def test_a_change_of_model_in_one_session_changes_it_for_all(environ: dict[str, str], hub: Path) -> None:
    async with sessions(environ, 2) as (holder, other):
        await report(holder, "set_model", name=LARGE)
        switch = await report(other, "set_model", name=SMALL)
        assert switch["model"] == SMALL
        told = await report(holder, "status")
        assert (told["state"], told["model"], told["chosen"]) == ("ready", SMALL, SMALL)
        await report(holder, "set_model", name=LARGE)
        # The other session attached to SMALL; now it must find that this is no longer resident.
        await report(other, "set_model", name=SMALL)
        assert (await control(environ))["status"]["model"] == SMALL
        assert await ask(holder) == await ask(other) == GREETING
        assert (await control(environ))["status"]["model"] == SMALL


@pytest.mark.slow
async def test_status_names_the_holder_its_clients_and_its_queue(environ: dict[str, str]) -> None:
    async with sessions({**environ, "MCP_LOCAL_LLM_BATCH_SIZE": "1"}, 2) as (holder, other):
        await ask(holder)
        running = await begin(other)
        waiting = await other.call("chat", **ENDLESS)
        await until(environ, lambda told: told["answers"] == 2)
        # The second call may not have reached the engine's line when it has reached the holder.
        await until(environ, lambda told: told["status"]["waiting"] == 1)
        for session in (holder, other):
            told = await report(session, "status")
            assert (told["holder_pid"], told["clients"], told["state"]) == (holder.process.pid, 1, "ready")
            assert (told["calls_running"], told["waiting"], told["pid"]) == (1, 1, session.process.pid)
            assert told["engine_bytes"] > 0
            text = await session.text(await session.call("status"))
            assert ", 1 running, 1 waiting, " in text
            here = "this process" if session is holder else "process"
            assert f"held by {here} {holder.process.pid}; other sessions attached to it: 1" in text
        shown = await anyio.run_process([sys.executable, "-m", "mcp_local_llm", "status"], env=environ)
        first, second, *_ = shown.stdout.decode().splitlines()
        assert (first, second.partition(";")[0]) == (
            "ready tiny, 1 running, 1 waiting, 1 answered",
            f"held by process {holder.process.pid}",
        )
        for request in (running, waiting):
            await other.cancel(request)
        await until(environ, lambda told: told["answers"] == 0)
        other.process.kill()
        await other.ended()
        assert (await report(holder, "status"))["clients"] == 0


async def test_a_call_of_an_attached_session_that_is_cancelled_or_killed_stops_in_the_holder(
    environ: dict[str, str],
) -> None:
    async with sessions(environ, 2) as (holder, other):
        await ask(holder)
        request = await begin(other)
        assert (await control(environ))["status"]["calls_running"] == 1
        await other.cancel(request)
        told = await until(environ, lambda told: told["answers"] == 0, within=5)
        assert (told["status"]["calls_running"], told["status"]["calls_answered"]) == (0, 1)
        assert await ask(other) == GREETING
        assert not other.answers(request)
        await begin(other)
        other.process.kill()
        told = await until(environ, lambda told: told["answers"] == 0, within=5)
        assert (told["status"]["calls_running"], told["status"]["calls_answered"]) == (0, 2)


@pytest.mark.slow
async def test_a_batch_of_one_session_does_not_starve_the_question_of_another(environ: dict[str, str]) -> None:
    one_by_one = {**environ, "MCP_LOCAL_LLM_BATCH_SIZE": "1", "MCP_LOCAL_LLM_QUEUE_SIZE": "5"}
    async with sessions(one_by_one, 3) as (holder, busy, other):
        await ask(holder)
        batch = [await busy.call("chat", **{**ENDLESS, "max_tokens": 120}) for _ in range(6)]
        await until(environ, lambda told: told["answers"] == 6)
        # The queue is full, and full of the other session's calls.
        assert await ask(other, max_tokens=20)
        done = [request for request in batch if busy.answers(request)]
        assert len(done) <= 3
        texts = [await busy.text(request) for request in batch]
        assert all("la" in text for text in texts)


@pytest.mark.slow
async def test_a_session_that_shares_nothing_keeps_a_model_of_its_own(environ: dict[str, str]) -> None:
    async with open_wire(environ) as holder, open_wire({**environ, "MCP_LOCAL_LLM_SHARE": "false"}) as alone:
        assert await ask(holder) == await ask(alone) == GREETING
        assert imported_mlx(holder.process.pid)
        assert imported_mlx(alone.process.pid)
        assert (await report(alone, "status"))["holder_pid"] is None
        assert (await control(environ))["status"]["calls_answered"] == 1


async def test_an_idle_model_is_unloaded_for_all_and_loaded_by_the_next_call(environ: dict[str, str]) -> None:
    async with sessions({**environ, "MCP_LOCAL_LLM_IDLE_MINUTES": "0.01"}, 2) as (holder, other):
        assert await ask(holder) == await ask(other) == GREETING
        await until(environ, lambda told: told["status"]["state"] == "unloaded")
        assert (await report(other, "status"))["state"] == "unloaded"
        before = await loads(environ)
        assert await ask(other) == GREETING
        assert await loads(environ) == before + 1
        assert not imported_mlx(other.process.pid)


@pytest.mark.slow
async def test_what_a_dead_process_left_in_the_folder_is_no_hindrance(environ: dict[str, str]) -> None:
    async with sessions(environ, 1) as (first,):
        await ask(first)
        first.process.kill()
        await first.ended()
    assert (runtime(environ) / "holder.sock").exists()
    async with sessions(environ, 2) as (second, third):
        assert await ask(second) == await ask(third) == GREETING
        assert holder_of(environ) == second.process.pid


async def test_a_folder_that_is_open_to_others_is_refused_with_advice(environ: dict[str, str]) -> None:
    folder = runtime(environ)
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    async with open_wire(environ) as session:
        told = await ask(session)
        assert f"chmod 700 {folder}" in told
        folder.chmod(0o700)
        assert await ask(session) == GREETING


async def together(*calls: tuple[Wire, str]) -> list[str]:
    """Ask several sessions at once."""
    with anyio.fail_after(WAIT_S):
        return list(await asyncio.gather(*(ask(session, message) for session, message in calls)))


async def test_questions_of_two_sessions_are_answered_side_by_side(environ: dict[str, str]) -> None:
    async with sessions(environ, 2) as (holder, other):
        await ask(holder)
        assert await together((holder, "Hello"), (other, "Hello"), (other, "Hello")) == 3 * [GREETING]
