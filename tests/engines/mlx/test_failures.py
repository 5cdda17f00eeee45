"""A failure inside MLX ends the calls that it hit, never the process, and is followed by a right answer."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

import anyio
import pytest
from mlx_lm.generate import BatchGenerator

from mcp_local_llm.engines.mlx import MlxLoader
from mcp_local_llm.engines.mlx.batch import memory
from mcp_local_llm.engines.mlx.batch.solo_decoder import SoloDecoder
from mcp_local_llm.engines.mlx.engine import MlxEngine
from mcp_local_llm.engines.mlx.prefix.cache import PrefixCache
from mcp_local_llm.engines.mlx.prompt.decoded_text import DecodedText
from mcp_local_llm.residency import Resident
from mcp_local_llm.values.errors import GenerationError
from mcp_local_llm.values.model import ModelInfo
from tests.clients import WAIT_S
from tests.engines.mlx.asking import ask, engine_of, ignore, prompt

Fail = Callable[[type, int], None]
"""Makes the method `next` of a class raise, so many times."""


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Fail:
    caplog.set_level(logging.CRITICAL)

    def arrange(decoder: type, times: int) -> None:
        sound: Callable[[Any], Any] = vars(decoder)["next"]
        left = [times]

        def broken(self: Any) -> Any:
            if left[0]:
                left[0] -= 1
                raise RuntimeError("[METAL] Command buffer execution failed: Insufficient Memory.")
            return sound(self)

        monkeypatch.setattr(decoder, "next", broken)

    return arrange


async def _failing(engine: MlxEngine, text: str, errors: list[str]) -> None:
    try:
        await ask(engine, text)
    except GenerationError as error:
        errors.append(str(error))


async def test_a_failure_in_a_batch_ends_its_calls_and_the_next_call_works_without_a_load(
    tiny: ModelInfo, fail: Fail
) -> None:
    async with engine_of(tiny) as engine:
        cold = await ask(engine, "Hello")
        errors: list[str] = []
        fail(BatchGenerator, 1)
        async with anyio.create_task_group() as group:
            for text in ("Hello", "Write a poem.", "Tell me a story."):
                group.start_soon(_failing, engine, text, errors)
        assert len(errors) == 3
        assert all("Insufficient Memory" in error and "next request" in error for error in errors)
        assert not engine.lost
        after = await ask(engine, "Hello")
    assert after.text == cold.text
    # Whatever was in memory when the device failed is not trusted any more.
    assert after.usage.cached_tokens == 0


async def test_failures_apart_from_each_other_never_unload(tiny: ModelInfo, fail: Fail) -> None:
    async with engine_of(tiny) as engine:
        for _ in range(3):
            fail(SoloDecoder, 1)
            with pytest.raises(GenerationError):
                await ask(engine, "Hello")
            assert (await ask(engine, "Hello")).text
        assert not engine.lost


async def test_a_second_failure_in_a_row_unloads_and_the_next_call_loads_again(tiny: ModelInfo, fail: Fail) -> None:
    backend = MlxLoader()
    resident = Resident(backend)
    try:
        with anyio.fail_after(WAIT_S):
            async with resident.use(tiny, ignore) as engine:
                fail(SoloDecoder, 2)
                with pytest.raises(GenerationError):
                    await _once(engine)
                with pytest.raises(GenerationError) as raised:
                    await _once(engine)
                assert "unloaded" in str(raised.value)
                assert engine.lost
            assert resident.state().state == "unloaded"
            assert resident.state().model is None
            async with resident.use(tiny, ignore) as fresh:
                assert fresh is not engine
                assert resident.state().state == "ready"
                await _once(fresh)
    finally:
        backend.close()
        assert backend.join(WAIT_S)


@pytest.mark.parametrize(("owner", "method"), [(PrefixCache, "put"), (memory, "held")])
async def test_a_device_that_fails_behind_the_last_token_leaves_no_call_waiting(
    tiny: ModelInfo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, owner: Any, method: str
) -> None:
    caplog.set_level(logging.CRITICAL)
    async with engine_of(tiny) as engine:
        cold = await ask(engine, "Hello")
        sound = cast(Callable[..., Any], vars(owner)[method])
        left = [1]

        def broken(*arguments: Any) -> Any:
            if left:
                raise MemoryError(str(left.pop()))
            return sound(*arguments)

        monkeypatch.setattr(owner, method, broken)
        assert (await ask(engine, "Hello")).text == cold.text
        assert not left
        assert (await ask(engine, "Hello")).text == cold.text


class _Panic(BaseException):
    """As the libraries' native code raises it."""


async def test_a_panic_while_an_answer_is_written_ends_that_answer_alone(
    tiny: ModelInfo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    sound = DecodedText.add
    left = [1]

    def broken(self: DecodedText, token: int) -> str:
        if left:
            raise _Panic(left.pop())
        return sound(self, token)

    async with engine_of(tiny) as engine:
        cold = await ask(engine, "Write a poem.")
        errors: list[str] = []
        monkeypatch.setattr(DecodedText, "add", broken)
        async with anyio.create_task_group() as group:
            group.start_soon(_failing, engine, "Write a poem.", errors)
            await anyio.wait_all_tasks_blocked()
            assert (await ask(engine, "Hello")).text
        assert len(errors) == 1
        assert "_Panic" in errors[0]
        assert (await ask(engine, "Write a poem.")).text == cold.text


async def test_an_error_of_one_request_does_not_reach_the_others(tiny: ModelInfo) -> None:
    async with engine_of(tiny) as engine:
        cold = await ask(engine, "Hello")
        errors: list[BaseException] = []

        async def refused() -> None:
            try:
                await ask(engine, prompt("word " * 5000))
            except Exception as error:
                errors.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(refused)
            assert (await ask(engine, "Hello")).text == cold.text
    assert [type(error).__name__ for error in errors] == ["ContextLengthError"]


async def test_a_load_that_is_given_up_leaves_the_next_one_right(tiny: ModelInfo) -> None:
    backend = MlxLoader()
    try:
        with anyio.fail_after(WAIT_S):
            given_up = asyncio.create_task(backend.load(tiny, ignore))
            await asyncio.sleep(0)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
            engine = await backend.load(tiny, ignore)
            assert (await ask(engine, "Hello")).text
    finally:
        backend.close()
        assert backend.join(WAIT_S)


async def _once(engine: Any) -> None:
    assert isinstance(engine, MlxEngine)
    await ask(engine, "Hello")
