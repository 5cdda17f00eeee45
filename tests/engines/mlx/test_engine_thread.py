"""The MLX thread's edge: whatever ends it or a load, every command is answered, and the next one works."""

import logging
import resource
import threading
from collections.abc import Callable

import anyio
import pytest

from mcp_local_llm.engines.mlx import MlxLoader
from mcp_local_llm.engines.mlx.batch import memory
from mcp_local_llm.engines.mlx.batch.batch import Batch
from mcp_local_llm.engines.mlx.file_limit import WANTED, file_limit_kept
from mcp_local_llm.engines.mlx.messages import Command
from mcp_local_llm.engines.mlx.thread import MlxThread
from mcp_local_llm.engines.mlx.worker import Worker
from mcp_local_llm.residency import Resident
from mcp_local_llm.values.errors import LocalLLMError, ModelLoadError
from mcp_local_llm.values.model import ModelInfo
from tests.clients import WAIT_S
from tests.engines.mlx.asking import ask, engine_of, ignore

Limits = tuple[int, int]
CAUSES = (RuntimeError("[metal] no device"), SystemExit(3), KeyboardInterrupt("native code"), MemoryError())


def once(error: BaseException) -> Callable[..., None]:
    """A stand-in that raises the first time it is called."""
    left = [error]

    def raising(*arguments: object, **named: object) -> None:
        if left:
            raise left.pop()

    return raising


@pytest.mark.parametrize("place", ["wire_weights", "read_free_memory", "set_up"])
@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: type(cause).__name__)
async def test_what_fails_around_a_load_is_told_and_the_next_load_works(
    tiny: ModelInfo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, place: str, cause: BaseException
) -> None:
    caplog.set_level(logging.CRITICAL)
    sound = getattr(memory, place)
    fail = once(cause)

    def broken(*arguments: object, **named: object) -> object:
        fail()
        return sound(*arguments, **named)

    monkeypatch.setattr(memory, place, broken)
    backend = MlxLoader()
    resident = Resident(backend)
    try:
        with anyio.fail_after(WAIT_S):
            with pytest.raises(ModelLoadError, match=type(cause).__name__) as raised:
                async with resident.use(tiny, ignore):
                    pass
            now = resident.state()
            assert (now.state, now.last_error) == ("unloaded", str(raised.value))
            async with resident.use(tiny, ignore) as engine:
                assert (await ask(engine, "Hello")).text  # pyright: ignore[reportArgumentType]
    finally:
        backend.close()
        assert backend.join(WAIT_S)


@pytest.mark.parametrize("cause", [SystemExit(1), KeyboardInterrupt()], ids=lambda cause: type(cause).__name__)
async def test_a_thread_that_ends_in_a_step_fails_all_its_calls_and_the_next_load_works(
    tiny: ModelInfo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, cause: BaseException
) -> None:
    caplog.set_level(logging.CRITICAL)
    sound, calls = Batch.step, [0]

    def broken(batch: Batch) -> None:
        calls[0] += 1
        if calls[0] == 12:
            raise cause
        sound(batch)

    monkeypatch.setattr(Batch, "step", broken)
    backend = MlxLoader()
    errors: list[str] = []

    async def failing() -> None:
        try:
            await ask(engine, "Write a poem.")
        except LocalLLMError as error:
            errors.append(str(error))

    try:
        with anyio.fail_after(WAIT_S):
            engine = await backend.load(tiny, ignore)
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(failing)
            assert len(errors) == 3
            assert all(type(cause).__name__ in error for error in errors)
            assert engine.lost
            engine = await backend.load(tiny, ignore)
            assert (await ask(engine, "Hello")).text
    finally:
        backend.close()
        assert backend.join(WAIT_S)


async def test_commands_that_wait_in_the_queue_are_answered_when_the_thread_ends(
    tiny: ModelInfo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    sound, fail, post = Worker.run, once(SystemExit(1)), MlxThread.post
    posted = threading.Semaphore(0)

    def counted(thread: MlxThread, command: Command) -> None:
        post(thread, command)
        posted.release()

    def broken(worker: Worker) -> None:
        if len(errors) < 2:
            # Only when both commands are in the queue.
            assert posted.acquire(timeout=WAIT_S)
            assert posted.acquire(timeout=WAIT_S)
        fail()
        sound(worker)

    monkeypatch.setattr(Worker, "run", broken)
    monkeypatch.setattr(MlxThread, "post", counted)
    backend = MlxLoader()
    errors: list[str] = []

    async def failing() -> None:
        with pytest.raises(ModelLoadError) as raised:
            await backend.load(tiny, ignore)
        errors.append(str(raised.value))

    try:
        with anyio.fail_after(WAIT_S):
            async with anyio.create_task_group() as group:
                for _ in range(2):
                    group.start_soon(failing)
            assert len(errors) == 2
            assert (await ask(await backend.load(tiny, ignore), "Hello")).text
    finally:
        backend.close()
        assert backend.join(WAIT_S)


async def test_a_command_after_the_end_is_refused_at_once(tiny: ModelInfo) -> None:
    async with engine_of(tiny):
        pass
    backend = MlxLoader()
    backend.close()
    with anyio.fail_after(WAIT_S), pytest.raises(ModelLoadError, match="stopping"):
        await backend.load(tiny, ignore)


@pytest.mark.parametrize(
    ("limits", "after"),
    [
        ((64, 64), (64, 64)),
        ((256, 4000), (WANTED, 4000)),
        ((1024, 1_048_576), (WANTED, 1_048_576)),
        ((65_536, 1_048_576), (65_536, 1_048_576)),
        ((256, resource.RLIM_INFINITY), (WANTED, resource.RLIM_INFINITY)),
    ],
)
def test_importing_mlx_lm_never_fails_by_the_file_limit_nor_lowers_it(
    monkeypatch: pytest.MonkeyPatch, limits: Limits, after: Limits
) -> None:
    now = [limits]

    def set_limit(kind: int, wanted: Limits) -> None:
        hard = now[0][1]
        if hard != resource.RLIM_INFINITY and (wanted[1] > hard or wanted[1] == resource.RLIM_INFINITY):
            raise ValueError("not allowed to raise maximum limit")
        now[0] = wanted

    def get_limit(kind: int) -> Limits:
        return now[0]

    monkeypatch.setattr(resource, "getrlimit", get_limit)
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    with file_limit_kept():
        resource.setrlimit(resource.RLIMIT_NOFILE, (2048, 4096))
    assert now == [after]
    assert resource.setrlimit is set_limit
