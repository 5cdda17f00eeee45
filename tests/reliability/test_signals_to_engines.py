"""Signals to programs that answer for us: llama-server, which we start, and mlx_lm.server, which the user starts."""

import signal
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

import anyio
import anyio.to_thread
import psutil
import pytest

from tests.engines.http.test_mlx_lm_server import free_port, listens, started
from tests.engines.servers.conftest import found_llama_server
from tests.model_cache import TINY, write
from tests.reliability.phases import (
    ENDED_S,
    ENDINGS,
    OLD,
    STARTS,
    Calls,
    Scene,
    begin,
    children_of,
    ending,
    pass_moment,
    require_gone,
    require_whole,
    scene_in,
    stopped,
    until,
)
from tests.sharing.sessions import GREETING, SMALL, ask, failure, report
from tests.sharing.sessions import begin as begin_answer
from tests.wire import Wire, open_wire
from training.to_gguf import write_gguf

GROUP = "Signals to other engines"
USED = ("is idle", "loads", "reads a prompt", "answers", "switches models", "drafts")
pytestmark = pytest.mark.engines


@contextmanager
def llama_scene(home: Path) -> Generator[Scene]:
    """A home whose second model is a GGUF file, and a real llama-server."""
    folder = home / "models"
    folder.mkdir()
    write_gguf(TINY, folder / "tiny-F32.gguf")
    settings = f'folders = ["{folder}"]\nllama_server = "{found_llama_server()}"\nreserve_context = 4096\n'
    write(home / ".config" / "mcp-local-llm" / "config.toml", settings)
    with scene_in(home) as scene:
        environ = scene.environ | {"LLAMA_ARG_THREADS": "1", "MCP_LOCAL_LLM_STEP_TIMEOUT_S": "15"}
        yield replace(scene, environ=environ, model="tiny-F32", other=SMALL)


def llama(wire: Wire) -> psutil.Process | None:
    """The llama-server of a session, once it runs."""
    for process in children_of(wire.process.pid):
        with suppress(psutil.NoSuchProcess):  # It has just ended, or its supervisor has just begun.
            if "--alias" in (line := process.cmdline()) and "-I" not in line:
                return process
    return None


async def in_use(phase: str, scene: Scene, wire: Wire, random: Random) -> tuple[Calls, psutil.Process | None]:
    """Bring llama-server into a phase; returns it unless it has ended by itself."""
    scene.reset()
    if phase == "loads":
        await ask(wire, model=scene.other)
    elif phase == "is idle":
        await ask(wire, model=scene.model)
    calls = await begin(phase, scene, wire, random)
    if phase == "loads":
        await until(lambda: llama(wire) is not None or bool(wire.answers(calls.requests[-1])))
    return calls, llama(wire)


@pytest.mark.fault(
    GROUP,
    f"{{how}} to llama-server while it {', '.join(USED)}",
    promised="its calls are answered, or told how it ended and that they can be sent again; the next call starts it "
    "anew; the file of a draft is whole",
    tries=3 * len(USED),
)
@pytest.mark.parametrize("how", ENDINGS)
async def test_a_llama_server_that_is_ended_is_told_of_and_started_anew(home: Path, how: str, tries: int) -> None:
    with llama_scene(home) as scene:
        async with open_wire(scene.environ) as wire:
            for attempt in range(tries):
                number, phase = ending(how, attempt, USED)
                calls, victim = await in_use(phase, scene, wire, Random(attempt))
                running = [victim, *filter(None, [victim.parent()])] if victim is not None else []
                for process in running[:1]:
                    process.send_signal(number)
                await calls.end()
                require_whole(scene)
                await require_gone(running)
                assert await ask(wire, model=scene.model, max_tokens=30) == GREETING
            everything = children_of(wire.process.pid)
            await wire.close_stdin()
            await wire.ended()
            await require_gone(everything)


@pytest.mark.fault(
    GROUP,
    "SIGSTOP to llama-server while it answers or loads",
    promised="the call ends within 12 s and names the process; once it goes on or was replaced, the next is answered",
    tries=4,
)
async def test_a_stopped_llama_server_is_named(home: Path, attempt: int) -> None:
    with llama_scene(home) as scene:
        async with open_wire(scene.environ) as wire:
            calls, victim = await in_use(("answers", "loads")[attempt % 2], scene, wire, Random(attempt))
            if victim is not None:
                await stopped(victim.pid)
            await calls.end()
            assert await ask(wire, model=scene.other) == GREETING
            if victim is not None:
                await require_gone([victim])
            assert await ask(wire, model=scene.model, max_tokens=30) == GREETING


@pytest.mark.fault(
    GROUP,
    f"SIGSTOP, then SIGCONT, and SIGPIPE to llama-server while it {', '.join(USED)}",
    promised="its calls end as if nothing had been, or say that they can be sent again",
    tries=3 * len(USED),
)
async def test_a_llama_server_that_was_stopped_goes_on(home: Path, tries: int) -> None:
    with llama_scene(home) as scene:
        async with open_wire(scene.environ) as wire:
            for attempt in range(tries):
                calls, victim = await in_use(USED[attempt % len(USED)], scene, wire, Random(attempt))
                if victim is not None:
                    await stopped(victim.pid)
                    victim.send_signal(signal.SIGCONT)
                    victim.send_signal(signal.SIGPIPE)
                await calls.end()
                assert await ask(wire, model=scene.model, max_tokens=30) == GREETING


BOX = "box/default_model"
SERVED = ("is idle", "reads a prompt", "answers")
"""mlx_lm.server knows no schemas, so its drafts have a test of their own."""


class Box:
    """A real mlx_lm.server on one port, which can be started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()

    def settings(self, more: str = "") -> str:
        url = f"http://127.0.0.1:{self.port}/v1"
        return (
            f'[[endpoints]]\nname = "box"\nurl = "{url}"\nflavor = "mlx_lm.server"\nmodels = ["default_model"]\n{more}'
        )

    @asynccontextmanager
    async def running(self, *, ready: bool = True) -> AsyncGenerator[psutil.Process]:
        with started(self._folder, self.port) as server:
            if ready:
                await anyio.to_thread.run_sync(listens, server)
            yield psutil.Process(server.pid)


@pytest.fixture
async def box_scene(home: Path) -> AsyncIterator[Scene]:
    with scene_in(home) as scene:
        yield replace(scene, model=BOX)


@pytest.mark.fault(
    GROUP,
    f"{{how}} to an mlx_lm.server endpoint while it {', '.join((STARTS, *SERVED))}",
    promised="its calls are answered, or told what to do; other models answer meanwhile; once it is started again, the "
    "next call is answered",
    tries=2 * (1 + len(SERVED)),
)
@pytest.mark.parametrize("how", ENDINGS)
async def test_an_endpoint_that_is_ended_is_told_of(box_scene: Scene, tmp_path: Path, how: str, attempt: int) -> None:
    number, phase = ending(how, attempt, (STARTS, *SERVED))
    box = Box(tmp_path)
    write(box_scene.home / ".config" / "mcp-local-llm" / "config.toml", box.settings())
    async with open_wire(box_scene.environ) as wire:
        async with box.running(ready=phase != STARTS) as server:
            if phase == STARTS:
                calls = Calls(wire)
                request = await calls.call("chat", message="Hello", model=BOX)
                await pass_moment(Random(attempt), 1.0, lambda: wire.answer(request))
            else:
                calls = await begin(phase, box_scene, wire, Random(attempt))
            server.send_signal(number)
            await calls.end()
            # A thread of it may still be at a prompt.
            with anyio.move_on_after(ENDED_S):
                await until(lambda: server.status() == psutil.STATUS_ZOMBIE)
        require_whole(box_scene)
        told = await failure(wire, await wire.call("chat", message="Hello", model=BOX))
        assert "cannot be reached" in told
        assert await ask(wire, model=SMALL) == GREETING
        async with box.running():
            assert await ask(wire, model=BOX) == GREETING


@pytest.mark.fault(
    GROUP,
    "{how} to an mlx_lm.server endpoint while a draft is written with it",
    promised="the file holds the old text or the whole new one, and the call says which",
    tries=12,
)
@pytest.mark.parametrize("how", ENDINGS)
async def test_a_draft_by_an_endpoint_is_whole(box_scene: Scene, tmp_path: Path, how: str, tries: int) -> None:
    box = Box(tmp_path)
    write(box_scene.home / ".config" / "mcp-local-llm" / "config.toml", box.settings())
    target = box_scene.home / "project" / "greeting.txt"
    draft = {"path": target.name, "message": "Hello", "model": BOX, "overwrite": True}
    target.write_text(OLD)
    async with open_wire(box_scene.environ) as wire:
        async with box.running():
            began = time.monotonic()
            assert not (await wire.answer(await wire.call("draft", **draft)))["result"].get("isError")
            seconds = time.monotonic() - began
        new = target.read_text()
        for attempt in range(tries):
            number, _ = ending(how, attempt, ("drafts",))
            async with box.running() as server:
                target.write_text(OLD)
                request = await wire.call("draft", **draft)
                await pass_moment(Random(attempt), 1.5 * seconds, partial(wire.answer, request))
                server.send_signal(number)
                failed = (await wire.answer(request))["result"].get("isError", False)
            assert target.read_text() == (OLD if failed else new)
            assert {path.name for path in target.parent.iterdir()} == {box_scene.target.name, target.name}


@pytest.mark.fault(
    GROUP,
    "SIGSTOP, then SIGCONT, to an mlx_lm.server endpoint that answers",
    promised="the call says so after read_timeout_s; status, list and other models answer meanwhile; once it goes on, "
    "the next call is answered",
    tries=3,
)
async def test_an_endpoint_that_is_stopped_holds_up_nothing_else(box_scene: Scene, tmp_path: Path, tries: int) -> None:
    box = Box(tmp_path)
    write(box_scene.home / ".config" / "mcp-local-llm" / "config.toml", box.settings("read_timeout_s = 5\n"))
    async with box.running() as server, open_wire(box_scene.environ) as wire:
        for _ in range(tries):
            running = await begin_answer(wire, model=BOX)
            await stopped(server.pid)
            assert (await report(wire, "status"))["state"]
            assert (await report(wire, "list_models"))["models"]
            assert await ask(wire, model=SMALL) == GREETING
            assert "said nothing for 5 s" in await failure(wire, running)
            server.send_signal(signal.SIGCONT)
            assert await ask(wire, model=BOX) == GREETING
