"""Who executes a verb, decided by the lease: scripted executors, real locks and sockets."""

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import anyio
import pytest

from mcp_local_llm.llm.llm import Caller, collect_result
from mcp_local_llm.llm.local import Local
from mcp_local_llm.llm.ownership import HANDOVER_S
from mcp_local_llm.llm.retry import LEAVING_S, OWNER_TIMEOUT_S, RETRY_S
from mcp_local_llm.llm.session import Session
from mcp_local_llm.residency.lease import Lease
from mcp_local_llm.values.errors import BackendUnavailableError, ConfigError, ModelLoadError
from mcp_local_llm.values.progress import Progress
from tests.clients import WAIT_S
from tests.llm.scripted import HELLO, RESULT, SWITCH, ScriptedLLM, ignore


class Executor(ScriptedLLM):
    """What a session makes for itself; `resident` says whether a model stays after a verb."""

    def __init__(self, failure: Exception | None = None, *, resident: bool = True) -> None:
        super().__init__(failure)
        self.resident = resident

    def is_unloaded(self) -> bool:
        return not self.resident


class Clock:
    """Time that passes only where somebody sleeps; something may happen at a sleep of a certain number."""

    def __init__(self) -> None:
        self.count = 0
        self.at: dict[int, Callable[[], None]] = {}
        self.told = 0.0

    async def sleep(self, seconds: float) -> None:
        self.count += 1
        self.told += seconds
        if happens := self.at.get(self.count):
            happens()
        await anyio.sleep(0)

    def __call__(self) -> float:
        return self.told


@asynccontextmanager
async def session(
    folder: Path, llm: ScriptedLLM, *, share: bool = True, clock: Clock | None = None, version: str = "0.0.1"
) -> AsyncGenerator[Session]:
    """A session of this user over `llm`."""
    clock = clock or Clock()
    made = Session(
        lease=Lease(folder),
        version=version,
        make_local=lambda: cast(Local, llm),
        caller=Caller("me", "mine"),
        share=share,
        sleep=clock.sleep,
        clock=clock,
    )
    with anyio.fail_after(WAIT_S):
        async with made:
            yield made


async def test_the_first_session_executes_and_the_second_forwards(tmp_path: Path) -> None:
    here, there = Executor(), Executor()
    async with session(tmp_path, here) as first, session(tmp_path, there) as second:
        assert await collect_result(first.chat(HELLO, ignore)) == RESULT
        assert await collect_result(second.chat(HELLO, ignore, model="m")) == RESULT
        assert await second.complete("a") == ("a", "b")
        assert Lease(tmp_path).owner() is not None
    assert there.asked == []
    # Each session's own settings travel beside its request.
    assert here.asked == [
        ("chat", HELLO, None, Caller("me", "mine")),
        ("chat", HELLO, "m", Caller("me", "mine")),
        ("complete", "a"),
    ]


async def test_what_loads_nothing_needs_no_lease(tmp_path: Path) -> None:
    llm = Executor()
    async with session(tmp_path, llm) as only:
        for verb in (only.list_models(), only.complete("a"), only.candidates("a"), only.counters(), only.status()):
            await verb
        await only.download("m", ignore)
        await only.unload(ignore)
        assert not Lease(tmp_path).elsewhere()
        assert await only.set_model("m", ignore) == SWITCH
        assert Lease(tmp_path).elsewhere()


async def test_a_session_that_shares_nothing_takes_no_lease(tmp_path: Path) -> None:
    here, own = Executor(), Executor()
    async with session(tmp_path, here) as first, session(tmp_path, own, share=False) as alone:
        await first.set_model("m", ignore)
        await alone.set_model("n", ignore)
        assert (await alone.status()).holder_pid is None
    assert own.asked == [("set_model", "n", False)]


async def test_a_failed_load_that_leaves_no_model_gives_the_lease_up(tmp_path: Path) -> None:
    broken, sound = Executor(ModelLoadError("no driver"), resident=False), Executor()
    async with session(tmp_path, broken) as first, session(tmp_path, sound) as second:
        with pytest.raises(ModelLoadError, match="no driver"):
            await first.set_model("m", ignore)
        assert not Lease(tmp_path).elsewhere()
        assert await second.set_model("m", ignore) == SWITCH
        # The same holds where another session's verb fails: the next owner answers.
        assert await first.set_model("m", ignore) == SWITCH
        assert sound.asked == 2 * [("set_model", "m", False)]


async def test_a_failure_that_leaves_the_model_keeps_the_lease(tmp_path: Path) -> None:
    async with session(tmp_path, Executor(ModelLoadError("broken"))) as only:
        with pytest.raises(ModelLoadError):
            await only.set_model("m", ignore)
        assert Lease(tmp_path).elsewhere()


@pytest.mark.parametrize("name", ["holder.lock", "holder.sock"])
@pytest.mark.parametrize("thing", ["folder", "full folder", "FIFO"])
async def test_a_file_that_cannot_be_used_is_named_and_the_lease_stays_free(
    tmp_path: Path, name: str, thing: str
) -> None:
    place = tmp_path / "run" / name
    place.parent.mkdir(mode=0o700)
    if thing == "FIFO":
        os.mkfifo(place)
    else:
        place.mkdir()
    if thing == "full folder":
        (place / "x").write_text("")
    llm = Executor()
    async with session(tmp_path / "run", llm) as only:
        if thing == "FIFO" and name == "holder.sock":
            # What a dead process left is replaced, whatever it is.
            assert await only.set_model("m", ignore) == SWITCH
            return
        with pytest.raises(ConfigError, match=rf"{name} cannot be used"):
            await only.set_model("m", ignore)
        if name == "holder.sock":
            assert not Lease(tmp_path / "run").elsewhere()
        if place.is_dir():
            (place / "x").unlink(missing_ok=True)
            place.rmdir()
        else:
            place.unlink()
        assert await only.set_model("m", ignore) == SWITCH


async def test_a_path_too_long_for_a_socket_gives_the_lease_back(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    async with session(folder, Executor()) as only:
        with pytest.raises(ConfigError, match=r"holder\.sock cannot be made"):
            await only.set_model("m", ignore)
        assert not Lease(folder).elsewhere()


async def test_an_owner_whose_socket_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    clock, other = Clock(), Lease(tmp_path)
    other.take("0.0.1")
    clock.at[3] = other.release
    llm, seen = Executor(), list[Progress]()
    async with session(tmp_path, llm, clock=clock) as only:
        assert await only.set_model("m", seen.append) == SWITCH
    assert clock.count == 3
    assert seen == 3 * [Progress("loading")]


async def test_an_owner_that_never_listens_is_an_error_that_names_it(tmp_path: Path) -> None:
    clock, other = Clock(), Lease(tmp_path)
    other.take("0.9.0")
    async with session(tmp_path, Executor(), clock=clock) as only:
        with pytest.raises(BackendUnavailableError, match=rf"process {os.getpid()} \(version 0\.9\.0\)"):
            await only.set_model("m", ignore)
    assert clock() == pytest.approx(OWNER_TIMEOUT_S, abs=2 * RETRY_S)


async def test_an_older_owner_finishes_then_leaves_and_then_forwards_to_the_newer(tmp_path: Path) -> None:
    old, new = Executor(), Executor()
    old.go_on = anyio.Event()
    clock = Clock()
    async with session(tmp_path, old, version="0.0.0.1") as older, session(tmp_path, new, clock=clock) as newer:
        results: list[object] = []

        async def first() -> None:
            results.append(await older.set_model("old", ignore))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            await old.begun.wait()
            # Longer than an owner is waited for that says nothing.
            clock.at[round(2 * OWNER_TIMEOUT_S / RETRY_S)] = old.go_on.set
            older_version(older)
            assert await newer.set_model("new", ignore) == SWITCH
        assert results == [SWITCH]
        assert new.asked == [("set_model", "new", False)]
        assert await older.set_model("again", ignore) == SWITCH
    assert new.asked[1:] == [("set_model", "again", False)]
    assert ("unload", False) in old.asked


def older_version(older: Session) -> None:
    """Both sessions are in this process, so the older one is told to leave as its server would be asked."""
    older._owner._drain()  # pyright: ignore[reportPrivateUsage]


@pytest.mark.slow
async def test_an_owner_that_leaves_for_ever_is_given_up(tmp_path: Path) -> None:
    old, clock = Executor(), Clock()
    old.go_on = anyio.Event()
    async with (
        session(tmp_path, old) as older,
        session(tmp_path, Executor(), clock=clock) as newer,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(older.set_model, "old", ignore)
        await old.begun.wait()
        older_version(older)
        with pytest.raises(BackendUnavailableError, match="does not answer"):
            await newer.set_model("new", ignore)
        old.go_on.set()
    assert clock() >= LEAVING_S > HANDOVER_S


async def test_what_other_sessions_have_begun_is_finished_before_the_end(tmp_path: Path) -> None:
    here = Executor()
    here.go_on = anyio.Event()
    async with session(tmp_path, here) as first, session(tmp_path, Executor()) as second:
        here.go_on.set()
        await first.set_model("m", ignore)
        here.go_on = anyio.Event()
        here.begun = anyio.Event()
        done: list[object] = []

        async def ask() -> None:
            done.append(await second.set_model("n", ignore))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await here.begun.wait()
            await first.finish_others(0.01)
            assert not done
            here.go_on.set()
            await first.finish_others()
        assert done == [SWITCH]


async def test_the_end_of_a_session_is_told_to_the_calls_it_answers(tmp_path: Path) -> None:
    here, holds, leave = Executor(), anyio.Event(), anyio.Event()

    async def hold() -> None:
        async with session(tmp_path, here) as first:
            await first.set_model("m", ignore)
            here.go_on, here.begun = anyio.Event(), anyio.Event()
            holds.set()
            await leave.wait()

    async def ask(second: Session) -> None:
        with pytest.raises(BackendUnavailableError, match="ended before this answer was finished"):
            await second.set_model("n", ignore)

    async with session(tmp_path, Executor()) as second, anyio.create_task_group() as tasks:
        tasks.start_soon(hold)
        await holds.wait()
        tasks.start_soon(ask, second)
        await here.begun.wait()
        leave.set()
