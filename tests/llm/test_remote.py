"""What a session makes of the lines of a lease owner: scripted owners on a real socket."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from anyio.abc import ByteStream

from mcp_local_llm.llm.llm import collect_result
from mcp_local_llm.llm.remote import SILENCE_S, STATUS_SILENCE_S, Remote
from mcp_local_llm.llm.verb_lines import BEAT_S, MAX_LINE
from mcp_local_llm.values.errors import BackendProtocolError, BackendUnavailableError, HolderGoneError, LocalLLMError
from tests.clients import WAIT_S
from tests.llm.scripted import HELLO, SWITCH, Say, ignore, owner, saying
from tests.virtual_time import TimeLapseLoop

WHO = {"protocol": 2, "version": "1.0.0", "pid": 99}
RESULT = {"result": SWITCH.model_dump()}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Callable[[], TimeLapseLoop]]]:
    return "asyncio", {"loop_factory": TimeLapseLoop}


def lines(*values: object) -> Say:
    """Says these lines, then closes."""

    async def say(stream: ByteStream, first: bytes) -> None:
        for value in values:
            await stream.send(value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n")

    return say


def silent(*values: object) -> Say:
    """Says these lines, then nothing more."""

    async def say(stream: ByteStream, first: bytes) -> None:
        await lines(*values)(stream, first)
        await anyio.sleep_forever()

    return say


async def switch(tmp_path: Path, say: Say) -> object:
    """The result of a verb, or its error: a task group would wrap that."""
    with anyio.fail_after(WAIT_S):
        async with saying(tmp_path, say) as remote:
            try:
                return await remote.set_model("x", ignore)
            except LocalLLMError as error:
                return error


@pytest.mark.parametrize(
    ("say", "kind", "words"),
    [
        (lines(), HolderGoneError, "has just ended"),
        (lines(b'{"proto'), HolderGoneError, "has just ended"),
        (lines(b"HTTP/1.1 400 Bad Request\r\n"), BackendProtocolError, "process 4711, which is too old.*End that"),
        (lines({**WHO, "protocol": 3, "version": "9.0.0"}), BackendProtocolError, r"9\.0\.0.*Start this session anew"),
        (lines({"server": "another"}), BackendProtocolError, "Start this session anew"),
        (lines(WHO), BackendUnavailableError, "ended before this answer was finished"),
        (lines(WHO, {"beat": 1}), BackendUnavailableError, "ended before this answer was finished"),
        (lines(WHO, b"garbage\n"), BackendProtocolError, "no line of ours"),
        (lines(b"x" * (MAX_LINE + 2)), BackendProtocolError, "more than 32 MiB"),
        (lines(WHO, b"x" * (MAX_LINE + 2)), BackendProtocolError, "more than 32 MiB"),
        (lines(WHO, {"result": {"model": 3}}), BackendProtocolError, "does not hold what it should"),
        (lines(WHO, {"progress": {"phase": "dancing"}}), BackendProtocolError, "does not hold what it should"),
        (lines(WHO, {"error": {"name": "SystemExit", "message": "boo"}}), BackendProtocolError, "boo"),
        (lines(WHO, {"error": {"name": "annotations", "message": "boo"}}), BackendProtocolError, "boo"),
        (lines(WHO, {"error": 3}), BackendProtocolError, "None"),
    ],
)
async def test_trouble_with_the_owner_is_told(tmp_path: Path, say: Say, kind: type[LocalLLMError], words: str) -> None:
    told = await switch(tmp_path, say)
    assert isinstance(told, kind)
    assert re.search(words, str(told))
    # What had begun is never repeated.
    assert isinstance(told, HolderGoneError) is (kind is HolderGoneError)


async def test_unknown_lines_and_beats_are_passed_over(tmp_path: Path) -> None:
    who = {**WHO, "version": f"9.².{'9' * 5000}"}
    assert await switch(tmp_path, lines(who, {"beat": 1}, {"weather": "fine"}, {"beat": 2}, RESULT)) == SWITCH


async def test_nobody_on_the_socket_means_that_nothing_was_begun(tmp_path: Path) -> None:
    remote = Remote(tmp_path / "holder.sock", "1.0.0", owner)
    with pytest.raises(HolderGoneError) as told:
        await remote.set_model("x", ignore)
    assert not told.value.leaving


@pytest.mark.parametrize(("said", "pid"), [((), 4711), ((WHO,), 99), ((WHO, {"beat": 1}), 99)])
async def test_an_owner_that_is_stopped_is_an_error_with_its_number(
    tmp_path: Path, said: tuple[object, ...], pid: int
) -> None:
    loop = cast(TimeLapseLoop, asyncio.get_running_loop())
    heard = anyio.Event()

    async def say(stream: ByteStream, first: bytes) -> None:
        await lines(*said)(stream, first)
        heard.set()
        await anyio.sleep_forever()

    async with saying(tmp_path, say) as remote:
        asked = asyncio.create_task(remote.set_model("x", ignore))
        await heard.wait()
        await anyio.wait_all_tasks_blocked()
        await loop.lapse(SILENCE_S + 1)
        with anyio.fail_after(WAIT_S), pytest.raises(BackendUnavailableError, match=rf"process {pid}, which said no"):
            await asked


async def test_status_of_a_stopped_owner_is_not_waited_for_long(tmp_path: Path) -> None:
    loop = cast(TimeLapseLoop, asyncio.get_running_loop())
    async with saying(tmp_path, silent()) as remote:
        asked = asyncio.create_task(remote.status())
        await anyio.wait_all_tasks_blocked()
        await loop.lapse(STATUS_SILENCE_S + 0.5)
        with anyio.fail_after(WAIT_S), pytest.raises(BackendUnavailableError, match="process 4711"):
            await asked


@pytest.mark.parametrize("verb", ["set_model", "complete"])
async def test_an_owner_that_beats_is_waited_for(tmp_path: Path, verb: str) -> None:
    loop = cast(TimeLapseLoop, asyncio.get_running_loop())
    done = anyio.Event()

    async def say(stream: ByteStream, first: bytes) -> None:
        await lines(WHO)(stream, first)
        while not done.is_set():
            await lines({"beat": 1})(stream, first)
            with anyio.move_on_after(BEAT_S):
                await done.wait()
        await lines(RESULT if verb == "set_model" else {"result": ["a"]})(stream, first)

    async with saying(tmp_path, say) as remote:
        ask = remote.set_model("x", ignore) if verb == "set_model" else remote.complete("x")
        asked = asyncio.ensure_future(ask)
        await anyio.wait_all_tasks_blocked()
        await loop.lapse(10 * SILENCE_S)
        assert not asked.done()
        done.set()
        with anyio.fail_after(WAIT_S):
            assert await asked == (SWITCH if verb == "set_model" else ("a",))


@pytest.mark.parametrize(
    ("version", "protocol", "leaves"),
    [("1.0.0", 2, False), ("1.0.1", 2, False), ("1.10.0", 2, False), ("0.9.9", 2, True), ("1.0.0", 1, True)],
)
async def test_only_an_older_owner_is_asked_to_leave_and_only_for_a_model(
    tmp_path: Path, version: str, protocol: int, leaves: bool
) -> None:
    verbs: list[str] = []

    async def say(stream: ByteStream, first: bytes) -> None:
        verb: dict[str, Any] = json.loads(first)
        verbs.append(verb["verb"])
        results: dict[str, Any] = {"drain": True, "complete": [], "set_model": SWITCH.model_dump()}
        who = {**WHO, "version": version, "protocol": protocol}
        await lines(who, {"result": results[verb["verb"]]})(stream, first)

    with anyio.fail_after(WAIT_S):
        async with saying(tmp_path, say) as remote:
            assert await remote.complete("a") == ()
            if not leaves:
                assert await remote.set_model("x", ignore) == SWITCH
                assert verbs == ["complete", "set_model"]
                return
            with pytest.raises(HolderGoneError) as told:
                await remote.set_model("x", ignore)
    assert told.value.leaving
    assert verbs == ["complete", "set_model", "drain"]


async def test_an_owner_that_is_leaving_has_not_begun(tmp_path: Path) -> None:
    gone = {"error": {"name": "HolderGoneError", "message": "It leaves."}}
    async with saying(tmp_path, lines(WHO, gone)) as remote:
        with anyio.fail_after(WAIT_S), pytest.raises(HolderGoneError) as told:
            await collect_result(remote.chat(HELLO, ignore))
    assert told.value.leaving
