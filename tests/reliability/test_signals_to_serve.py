"""Signals to `serve`, which holds the model, while a client asks over HTTP and a session is attached."""

import signal
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from random import Random

import anyio
import anyio.to_thread
import httpx
import pytest

from tests.clients import WAIT_S
from tests.doors.http.door import endless, question
from tests.doors.http.test_serve import Served, serve
from tests.reliability.phases import (
    ALL,
    ENDED_S,
    ENDINGS,
    FRESH,
    IN_TURN,
    PHASES,
    STARTS,
    Calls,
    Scene,
    begin,
    children_of,
    ending,
    exit_code,
    pass_moment,
    require_gone,
    require_resumed,
    require_whole,
    stopped,
)
from tests.sharing.sessions import GREETING, SMALL, ask, holder_of, report
from tests.wire import Wire, open_wire

GROUP = "Signals to `serve`"
CUT = -1
"""In place of a status: the connection ended before the answer did."""


class Outcome:
    """How a request over HTTP ended: its status, and its text or stream so far."""

    def __init__(self) -> None:
        self.status = 0
        self.text = ""
        self.begun = anyio.Event()

    async def ask(self, url: str, body: Mapping[str, object]) -> None:
        with anyio.fail_after(WAIT_S):
            try:
                async with (
                    httpx.AsyncClient(timeout=WAIT_S) as http,
                    http.stream("POST", f"{url}/chat/completions", json=body) as reply,
                ):
                    async for part in reply.aiter_text():
                        self.text += part
                        self.begun.set()
                    self.status = reply.status_code
            except httpx.TransportError:
                self.status = CUT

    @property
    def kept(self) -> bool:
        """Whether the client has its answer, or an error that says what to do."""
        return "again" in self.text if "error" in self.text else self.status == 200


@asynccontextmanager
async def asking(url: str, phase: str) -> AsyncGenerator[Outcome]:
    """Ask over HTTP while the block runs, and wait for the outcome at its end."""
    outcome = Outcome()
    body = endless(stream=True) if phase == "answers" else question("Hello")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outcome.ask, url, body | {"model": SMALL})
        if phase == "answers":
            await outcome.begun.wait()
        yield outcome


@pytest.mark.fault(
    GROUP,
    f"{{how}} {IN_TURN}",
    promised="it ends at once, and no process of it stays; requests under way are answered or told to be sent again "
    "(cut by SIGKILL); the attached session is answered next; files are whole, and a download goes on where it was",
    tries=len(ALL),
)
@pytest.mark.parametrize("how", ENDINGS)
async def test_serve_that_is_ended_tells_its_clients_and_frees_all(scene: Scene, how: str, attempt: int) -> None:
    number, phase = ending(how, attempt)
    model = () if phase == "loads" else ("--model", SMALL)
    async with open_wire(scene.environ) as session:
        with serve(scene.environ, *model) as served:
            started = children_of(served.process.pid)
            if phase == STARTS:
                await pass_moment(Random(attempt), 1.0, lambda: ended(served))
                calls, outcome = Calls(session), Outcome()
                outcome.status = CUT
                served.process.send_signal(number)
            else:
                calls = await begin(phase, scene, session, Random(attempt))
                async with asking(served.url, phase) as outcome:
                    served.process.send_signal(number)
            assert await ended(served) == exit_code(number)
            # A request that had not arrived is cut; one whose answer had begun is told, but by SIGKILL.
            cut = outcome.status == CUT and (phase != "answers" or number == signal.SIGKILL)
            assert cut or outcome.kept, (outcome.status, outcome.text)
        await calls.end()
        await require_gone(started)
        require_whole(scene)
        port = int(served.url.rpartition(":")[2].partition("/")[0])
        with socket.create_server(("127.0.0.1", port)):
            assert holder_of(scene.environ) in (None, session.process.pid)
        if phase == "downloads":
            await report(session, "set_model", name=FRESH, download=True)
            require_resumed(scene)
        assert await ask(session, model=SMALL) == GREETING
        assert holder_of(scene.environ) == session.process.pid


async def ended(served: Served) -> int:
    """Wait for the end of the process; returns its exit code."""
    return await anyio.to_thread.run_sync(served.process.wait, ENDED_S, abandon_on_cancel=True)


@asynccontextmanager
async def standing(scene: Scene) -> AsyncGenerator[tuple[Served, Wire]]:
    """A server that holds the model, and an attached session."""
    with serve(scene.environ, "--model", SMALL) as served:
        async with open_wire(scene.environ) as session:
            yield served, session


@pytest.mark.fault(
    GROUP,
    f"SIGSTOP, then SIGCONT, while it {', '.join(PHASES)}",
    promised="the attached session's status names it within 2 s; requests end as if nothing had been",
    tries=24,
)
async def test_serve_that_was_stopped_goes_on(scene: Scene, tries: int) -> None:
    async with standing(scene) as (served, session):
        for attempt in range(tries):
            scene.reset()
            phase = [*PHASES][attempt % len(PHASES)]
            calls = await begin(phase, scene, session, Random(attempt))
            async with asking(served.url, "") as outcome:
                await stopped(served.process.pid)
                try:
                    status = await report(session, "status")
                    assert any("said nothing" in note for note in status["notes"]), status
                finally:
                    served.process.send_signal(signal.SIGCONT)
                scene.hub.go.set()
            assert (outcome.status, GREETING in outcome.text) == (200, True), outcome.text
            await calls.end()
            require_whole(scene)
            assert await ask(session, model=SMALL) == GREETING


@pytest.mark.fault(
    GROUP,
    f"SIGPIPE, with a stderr that nobody reads, while it {', '.join(PHASES)}",
    promised="requests end as if nothing had been",
    tries=24,
)
async def test_serve_without_a_reader_of_its_log_goes_on(scene: Scene, tries: int) -> None:
    async with standing(scene) as (served, session):
        assert served.process.stderr is not None
        served.process.stderr.close()
        for attempt in range(tries):
            scene.reset()
            calls = await begin([*PHASES][attempt % len(PHASES)], scene, session, Random(attempt))
            async with asking(served.url, "") as outcome:
                served.process.send_signal(signal.SIGPIPE)
                scene.hub.go.set()
            assert (outcome.status, GREETING in outcome.text) == (200, True), outcome.text
            await calls.end()
            assert await ask(session, model=SMALL) == GREETING
