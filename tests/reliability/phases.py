"""Brings a session's call into a phase, and looks afterwards at what a process must leave whole, whatever ended it.

scene = Scene(environ, home, hub)        one private home: two models, a loopback hub, a project to write into
call = await begin("downloads", scene, session, random)
…a signal…
await call.look()                        its part of the promise: files whole, downloads that go on
"""

import json
import shutil
import signal
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import anyio
import psutil

from tests.clients import POLL_S, WAIT_S, private_environ
from tests.loopback_hub import LoopbackHub, running
from tests.model_cache import TINY, place_tiny
from tests.sharing.sessions import ENDLESS, LARGE, SMALL, ask, remove_runtime
from tests.wire import Wire

REMEDIES = ("again", "Start it", "Raise read_timeout_s")
"""Words of the errors that say what to do."""
FRESH = "acme/fresh-4bit"
"""A repository that is only on the hub; each download begins anew."""
WEIGHTS = "model.safetensors"
HELD_AT = 2**20
"""Bytes of the weights after which the hub waits; a download writes half of that at once."""
LONG = "word " * 1200
"""About 3,600 tokens, which fit into the window of the built-in model."""
OLD, NEW = "old", ("blue", "green")
"""The colour in the draft's target at first, and those that the drafts make of it."""
ENDED_S = 10.0
"""Most seconds until a process and those that it had started are gone; an engine gets 5 s to end by itself."""
ENDINGS = {"SIGKILL": (signal.SIGKILL,), "SIGTERM, SIGINT or SIGHUP": (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
"""Signals that end a process."""


@dataclass(frozen=True)
class Scene:
    """A home whose user has two models on the disk, one on the hub, and a project."""

    environ: dict[str, str]
    home: Path
    hub: LoopbackHub
    model: str = SMALL
    other: str = LARGE

    @property
    def target(self) -> Path:
        """The file that drafts are written into."""
        return self.home / "project" / "colour.json"

    def reset(self) -> None:
        """Put the old colour into the target."""
        self.target.write_text(json.dumps({"colour": OLD}))

    @property
    def choice(self) -> Path:
        return self.home / ".config" / "mlx-mcp" / "active_model"

    @property
    def repository(self) -> Path:
        return self.home / ".cache" / "huggingface" / "hub" / f"models--{FRESH.replace('/', '--')}"


@contextmanager
def scene_in(home: Path) -> Generator[Scene]:
    """Make a scene that lasts as long as the block."""
    for repository in (SMALL, LARGE):
        place_tiny(home / ".cache" / "huggingface" / "hub", repository)
    files = {path.name: path.read_bytes() for path in TINY.iterdir() if path.is_file()}
    with running(LoopbackHub({FRESH: files})) as hub:
        reach = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub.endpoint, "CLAUDE_PROJECT_DIR": str(home / "project")}
        scene = Scene(private_environ(home) | reach, home, hub)
        scene.target.parent.mkdir()
        scene.reset()
        try:
            yield scene
        finally:
            remove_runtime(scene.environ)


@dataclass
class Calls:
    """The calls that a session waits for."""

    session: Wire
    requests: list[int] = field(default_factory=list[int])

    async def call(self, tool: str, **arguments: Any) -> int:
        request = await self.session.call(tool, **arguments)
        self.requests.append(request)
        return request

    async def until(self, request: int, word: str) -> None:
        """Wait until the progress of a call says a word, or its answer is there."""
        seen = 1
        while not any(word in words for words in await self.session.progress(request, seen)):
            if answers := self.session.answers(request):
                require_clear(answers[0]["result"])
                return
            seen += 1

    async def end(self) -> None:
        """Wait for all answers."""
        for request in self.requests:
            require_clear((await self.session.answer(request))["result"])


def require_clear(result: dict[str, Any]) -> None:
    """An answer is a result, or an error that says what to do."""
    text = result["content"][0]["text"]
    assert not result.get("isError") or any(words in text for words in REMEDIES), text


async def idle(_: Scene, calls: Calls) -> None:
    await calls.session.answer(await calls.session.call("status"))


async def load(scene: Scene, calls: Calls) -> None:
    await calls.until(await calls.call("chat", message="Hello", model=scene.model), "loading")


async def prefill(scene: Scene, calls: Calls) -> None:
    request = await calls.call("chat", message=f"{uuid4()} {LONG}", model=scene.model, max_tokens=5, thinking=False)
    await calls.until(request, "prefill")


async def decode(scene: Scene, calls: Calls) -> None:
    await calls.until(await calls.call("chat", **ENDLESS, model=scene.model), "tokens")


async def switch(scene: Scene, calls: Calls) -> None:
    await ask(calls.session, model=scene.model)
    await calls.until(await calls.call("chat", message="Hello", model=scene.other), "loading")


async def download(scene: Scene, calls: Calls) -> None:
    """Begin a download whose first bytes have arrived; the hub holds the others back."""
    restock(scene)
    await calls.call("set_model", name=FRESH, download=True)
    await until(lambda: partial_bytes(scene) >= HELD_AT)


async def draft(scene: Scene, calls: Calls) -> None:
    """Begin drafts that replace a file, one after the other; each may find that another has changed it meanwhile."""
    for number in range(8):
        colour = {"type": "object", "properties": {"colour": {"enum": [NEW[number % 2]]}}, "required": ["colour"]}
        order = {"path": scene.target.name, "overwrite": True, "message": "Name a colour.", "response_schema": colour}
        await calls.call("draft", **order, model=scene.model, thinking=False, max_tokens=40)
    await calls.until(calls.requests[0], "")


async def state(_: Scene, calls: Calls) -> None:
    """Begin changes of the choice, one after the other; each ends in a write."""
    await ask(calls.session, model=SMALL)
    for number in range(12):
        await calls.call("set_model", name=(LARGE, SMALL)[number % 2])
    await calls.until(calls.requests[0], "")


Phase = Callable[[Scene, Calls], Awaitable[None]]

PHASES: dict[str, tuple[Phase, float]] = {
    "is idle": (idle, 0.0),
    "loads": (load, 1.5),
    "reads a prompt": (prefill, 0.3),
    "answers": (decode, 0.3),
    "switches models": (switch, 0.4),
    "downloads": (download, 0.0),
    "drafts": (draft, 1.0),
    "writes its state": (state, 1.0),
}
"""Phase → what brings a call into it, and the seconds in which the moment of the signal is drawn."""
STARTS = "starts"
ALL = (STARTS, *PHASES)
IN_TURN = f"while it {', '.join(ALL)}"


def ending(how: str, attempt: int, phases: Sequence[str] = ALL) -> tuple[signal.Signals, str]:
    """Signal and phase of a try: each phase in turn, and each time with another signal; first a phase of its own."""
    numbers = ENDINGS[how]
    turn, place = divmod(attempt, len(phases))
    return numbers[(attempt + turn) % len(numbers)], phases[(place + 3 * len(numbers)) % len(phases)]


def exit_code(number: signal.Signals) -> int:
    """The exit code of a server of ours that is ready, after a signal that ends it."""
    return -number if number == signal.SIGKILL else 0


async def pass_moment(random: Random, seconds: float, ended: Callable[[], Awaitable[object]]) -> None:
    """Let a part of a phase's time pass."""
    with anyio.move_on_after(random.random() * seconds):
        await ended()


async def begin(phase: str, scene: Scene, session: Wire, random: Random) -> Calls:
    """Bring a call of a session into a phase, to a moment that is drawn."""
    calls = Calls(session)
    act, seconds = PHASES[phase]
    await act(scene, calls)
    if calls.requests:
        await pass_moment(random, seconds, lambda: session.answer(calls.requests[-1]))
    return calls


async def until(holds: Callable[[], bool], within: float = WAIT_S) -> None:
    """Wait until something outside is as wanted."""
    with anyio.fail_after(within):
        while not holds():
            await anyio.sleep(POLL_S)


def restock(scene: Scene) -> None:
    """Let the hub hold the weights back once more, and forget an earlier download."""
    shutil.rmtree(scene.repository, ignore_errors=True)
    scene.hub.go.set()
    scene.hub.go.clear()
    scene.hub.served.clear()
    scene.hub.sent.clear()
    scene.hub.hold_after[WEIGHTS] = HELD_AT


def partial_bytes(scene: Scene) -> int:
    """The bytes of unfinished weights in the cache."""
    with suppress(FileNotFoundError):  # The file is whole by now and has another name.
        return max((path.stat().st_size for path in scene.repository.glob("blobs/*.incomplete")), default=0)
    return 0


def require_resumed(scene: Scene) -> None:
    """Look whether the weights were fetched from the byte on where the first download ended."""
    begun, *_, resumed = scene.hub.asked_for(WEIGHTS)
    assert begun.range is None
    assert resumed.range == f"bytes={HELD_AT}-", resumed


def require_whole(scene: Scene) -> None:
    """Look at every file that the processes of a scene have written: each holds an old or a new state, whole."""
    held = scene.target.read_text()
    assert json.loads(held)["colour"] in (OLD, *NEW), held
    if scene.choice.exists():
        assert scene.choice.read_text().strip() in (SMALL, LARGE, FRESH, "tiny")
    for path in (*scene.home.glob(".config/**/*.json"), *scene.home.glob(".local/state/**/*.json")):
        json.loads(path.read_text())


def children_of(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


async def stopped(pid: int) -> None:
    """Stop a process, and wait until it is."""
    process = psutil.Process(pid)
    process.send_signal(signal.SIGSTOP)
    await until(lambda: process.status() == psutil.STATUS_STOPPED)


async def require_gone(processes: list[psutil.Process]) -> None:
    """Wait until processes have ended."""
    _, alive = await anyio.to_thread.run_sync(lambda: psutil.wait_procs(processes, timeout=ENDED_S))
    assert not alive, alive
