"""Who loads and who attaches, decided by the lease; scripted backends, a real lock."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from mcp_local_llm.chat import ChatRequest
from mcp_local_llm.engine import ChatChunk, Engine, EngineMemory, HolderReport, HolderSwitch, Progress, ReportProgress
from mcp_local_llm.errors import (
    BackendUnavailableError,
    ConfigError,
    HolderGoneError,
    InsufficientMemoryError,
    ModelLoadError,
)
from mcp_local_llm.model import ModelInfo
from mcp_local_llm.residency.lease import Lease
from mcp_local_llm.residency.shared import PATIENCE_S, RETRY_S, SharedBackend

MODEL = ModelInfo("org/model", Path("/nowhere"), "folder")
CHANGED = HolderSwitch(loaded=True, previous="org/other")


class NamedEngine:
    """An engine that only tells where it came from."""

    lost = False
    waiting = 0
    memory: EngineMemory | None = None

    def __init__(self, origin: str, model: ModelInfo) -> None:
        self.origin = origin
        self.model = model

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk]:
        yield ChatChunk()

    async def unload(self) -> None:
        pass


class Recorder:
    """Both ways to a model and the door, on paper: what was asked of them, in order."""

    def __init__(self, *, silent: int = 0, old: int = 0, fails: Sequence[Exception] = ()) -> None:
        self.events: list[str] = []
        self._silent = silent
        self._old = old
        self._fails = list(fails)

    async def open(self) -> None:
        self.events.append("door")
        self._fail()

    def sessions(self) -> tuple[int, ...]:
        return (8, 9)

    async def require_room(self, model: ModelInfo) -> None:
        self.events.append("room")
        self._fail()

    async def settle(self, model: ModelInfo, report: ReportProgress) -> HolderSwitch:
        self.events.append("settle")
        self._fail()
        return CHANGED

    def fault(self) -> str | None:
        return None

    def close(self) -> None:
        self.events.append("close")

    async def load(self, model: ModelInfo, report: ReportProgress) -> Engine:
        self.events.append("load")
        self._fail()
        return NamedEngine("here", model)

    def _fail(self) -> None:
        if self._fails:
            raise self._fails.pop(0)

    async def report(self) -> HolderReport:
        self._fail()
        return HolderReport(7, {})

    async def leaving(self) -> bool:
        if self._silent:
            self._silent -= 1
            raise BackendUnavailableError("nobody answers")
        self._old -= 1
        return self._old >= 0


class Sleeps:
    """A sleep that takes no time but the clock's, counts, and lets something happen."""

    def __init__(self) -> None:
        self.count = 0
        self.at: dict[int, Lease] = {}

    async def __call__(self, seconds: float) -> None:
        self.count += 1
        if lease := self.at.get(self.count):
            lease.release()

    def clock(self) -> float:
        return self.count * RETRY_S


def shared(folder: Path, here: Recorder, there: Recorder, sleep: Sleeps | None = None) -> SharedBackend:
    sleep = sleep or Sleeps()
    return SharedBackend(
        lease=Lease(folder),
        version="1.0.0",
        local=here,
        holder=there,
        door=here,
        require_room=here.require_room,
        sleep=sleep,
        clock=sleep.clock,
    )


def ignore(progress: Progress) -> None:
    pass


async def test_with_the_lease_free_the_door_opens_before_the_load(tmp_path: Path) -> None:
    here, there = Recorder(), Recorder()
    backend = shared(tmp_path, here, there)
    assert backend.sessions() is None
    await backend.load(MODEL, ignore)
    assert here.events == ["room", "door", "load"]
    assert there.events == []
    assert backend.sessions() == (8, 9)
    # Whoever holds the lease has checked before it unloaded, and what it gave back may not be free yet.
    await backend.load(MODEL, ignore)
    assert here.events[3:] == ["door", "load"]


async def test_with_the_lease_taken_the_holder_loads(tmp_path: Path) -> None:
    other = Lease(tmp_path)
    other.take("1.0.0")
    here, there = Recorder(), Recorder()
    await shared(tmp_path, here, there).load(MODEL, ignore)
    assert here.events == []
    assert there.events == ["load"]


async def test_a_holder_whose_socket_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    other = Lease(tmp_path)
    other.take("1.0.0")
    there, sleep = Recorder(silent=3), Sleeps()
    await shared(tmp_path, Recorder(), there, sleep).load(MODEL, ignore)
    assert sleep.count == 3
    assert there.events == ["load"]


async def test_a_holder_that_goes_is_replaced(tmp_path: Path) -> None:
    other = Lease(tmp_path)
    other.take("1.0.0")
    sleep = Sleeps()
    sleep.at[2] = other
    here = Recorder()
    await shared(tmp_path, here, Recorder(silent=99), sleep).load(MODEL, ignore)
    assert here.events == ["room", "door", "load"]


async def test_an_older_holder_is_waited_for_until_it_has_left(tmp_path: Path) -> None:
    other = Lease(tmp_path)
    other.take("0.9.0")
    sleep = Sleeps()
    sleep.at[4] = other
    here, there = Recorder(), Recorder(old=99)
    await shared(tmp_path, here, there, sleep).load(MODEL, ignore)
    assert there.events == []
    assert here.events == ["room", "door", "load"]


async def test_a_holder_that_never_answers_is_an_error_that_names_it(tmp_path: Path) -> None:
    other = Lease(tmp_path)
    other.take("0.9.0")
    sleep = Sleeps()
    with pytest.raises(BackendUnavailableError) as error:
        await shared(tmp_path, Recorder(), Recorder(silent=9999), sleep).load(MODEL, ignore)
    assert "0.9.0" in str(error.value)
    assert sleep.clock() == pytest.approx(PATIENCE_S, abs=RETRY_S)


async def test_an_older_holder_may_take_longer_to_leave_than_a_silent_one_is_waited_for(tmp_path: Path) -> None:
    other = Lease(tmp_path)
    other.take("0.9.0")
    sleep, long = Sleeps(), 3 * round(PATIENCE_S / RETRY_S)
    sleep.at[long] = other
    here = Recorder()
    await shared(tmp_path, here, Recorder(old=long), sleep).load(MODEL, ignore)
    assert sleep.count == long
    assert here.events == ["room", "door", "load"]


async def test_a_holder_that_has_not_begun_is_asked_again(tmp_path: Path) -> None:
    other = Lease(tmp_path)
    other.take("1.0.0")
    there = Recorder(fails=[HolderGoneError("leaving"), HolderGoneError("leaving")])
    await shared(tmp_path, Recorder(), there).load(MODEL, ignore)
    assert there.events == ["load", "load", "load"]


async def test_a_load_that_the_holder_began_is_not_repeated(tmp_path: Path) -> None:
    other = Lease(tmp_path)
    other.take("1.0.0")
    there = Recorder(fails=[BackendUnavailableError("it died")])
    with pytest.raises(BackendUnavailableError, match="it died"):
        await shared(tmp_path, Recorder(), there).load(MODEL, ignore)
    assert there.events == ["load"]


async def test_a_process_whose_door_does_not_open_gives_the_lease_back(tmp_path: Path) -> None:
    class NoDoor(Recorder):
        async def open(self) -> None:
            raise ConfigError("no socket")

    backend = shared(tmp_path, NoDoor(), Recorder())
    with pytest.raises(ConfigError, match="no socket"):
        await backend.load(MODEL, ignore)
    assert Lease(tmp_path).take("1.0.0")


async def test_a_holder_that_goes_leaves_no_way_around_the_check_of_memory(tmp_path: Path) -> None:
    other = Lease(tmp_path)
    other.take("1.0.0")
    sleep = Sleeps()
    sleep.at[2] = other
    here = Recorder(fails=[InsufficientMemoryError("too large")])
    with pytest.raises(InsufficientMemoryError, match="too large"):
        await shared(tmp_path, here, Recorder(silent=99), sleep).load(MODEL, ignore)
    assert here.events == ["room"]
    assert Lease(tmp_path).take("1.0.0")


async def test_a_process_whose_load_fails_stays_the_holder(tmp_path: Path) -> None:
    class Broken(Recorder):
        async def load(self, model: ModelInfo, report: ReportProgress) -> Engine:
            raise ModelLoadError("broken")

    backend = shared(tmp_path, Broken(), Recorder())
    with pytest.raises(ModelLoadError):
        await backend.load(MODEL, ignore)
    assert Lease(tmp_path).elsewhere()


async def test_a_change_of_model_is_asked_of_the_holder_alone(tmp_path: Path) -> None:
    here, there = Recorder(), Recorder(fails=[HolderGoneError("leaving")])
    backend = shared(tmp_path, here, there)
    assert await backend.settle(MODEL, ignore) is None
    assert (here.events, there.events) == ([], [])
    other = Lease(tmp_path)
    other.take("1.0.0")
    assert await backend.settle(MODEL, ignore) is None
    assert await backend.settle(MODEL, ignore) == CHANGED
    assert (here.events, there.events) == ([], ["settle", "settle"])


async def test_a_holder_that_does_not_answer_is_told_only_while_it_is_there(tmp_path: Path) -> None:
    other = Lease(tmp_path)
    backend = shared(tmp_path, Recorder(), Recorder(fails=[BackendUnavailableError("silent")]))
    assert await backend.holder_report() is None
    other.take("1.0.0")
    with pytest.raises(BackendUnavailableError, match="silent"):
        await backend.holder_report()
    assert await backend.holder_report() == HolderReport(7, {})
