"""Eight sessions of one user and their calls: what is drawn, what is counted, and how all stands afterwards."""

import sys
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

import anyio
import psutil

from mcp_local_llm.values.results import Status
from tests.clients import private_environ
from tests.model_cache import place_tiny
from tests.reliability.soak_calls import (
    FILES,
    REAL_KIND,
    REAL_WEIGHT,
    STDIO,
    TINIES,
    Caller,
    Ending,
    real,
    texts,
)
from tests.reliability.soak_http_calls import HTTP
from tests.reliability.soak_sessions import Session, StdioSession, http_session, stdio_session
from tests.sharing.sessions import LARGE, SMALL, holder_of, remove_runtime

OVER_STDIO, OVER_HTTP = 6, 2
Ask = Callable[[], Awaitable[Ending]]

LINES = 2
"""Calls that a session has under way at the same time."""


@dataclass
class Tally:
    """What came of the calls, by kind: how often each ending, and what was wrong."""

    ended: dict[str, Counter[Ending]] = field(default_factory=dict[str, Counter[Ending]])
    wrong: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def count(self, kind: str, ending: Ending) -> None:
        self.ended.setdefault(kind, Counter())[ending] += 1

    def fault(self, kind: str, told: str) -> None:
        self.wrong.setdefault(kind, []).append(told)
        print(f"{kind}: {told}", file=sys.stderr, flush=True)

    @property
    def calls(self) -> int:
        """How many ended, rightly or not."""
        return sum(one.total() for one in self.ended.values()) + sum(map(len, self.wrong.values()))


@dataclass(frozen=True)
class RealModel:
    """A real model: its folder, and its greedy answers by question."""

    folder: Path
    answers: Mapping[str, str]


@dataclass
class Traffic:
    """The sessions, and the lines of calls that go through them."""

    environ: dict[str, str]
    sessions: list[Session]
    lines: list[tuple[Session, Caller]]
    tally: Tally
    real: RealModel | None

    @property
    def project(self) -> Path:
        return Path(self.environ["CLAUDE_PROJECT_DIR"])

    def pids(self) -> dict[str, int]:
        """Process ids by the names of the sessions."""
        return {session.name: session.pid for session in self.sessions}

    async def run(self, more: Callable[[], bool]) -> None:
        """Send calls on every line while `more` says so; returns when the last of them has ended."""
        async with anyio.create_task_group() as lines:
            for session, caller in self.lines:
                lines.start_soon(self._line, session, caller, more)
        for session in self.sessions:
            session.account()
            self._take_faults(session)

    async def load_largest(self) -> None:
        """Ask the real model, where there is one, which is seldom drawn: part of its memory stays with the process."""
        session, caller = self.lines[0]
        assert isinstance(session, StdioSession)
        if caller.real:
            await real(session, caller)

    async def require_sane(self) -> None:
        """Look at lease, state and files, when no call is under way."""
        first = self.sessions[0]
        assert isinstance(first, StdioSession)
        told = Status.model_validate((await first.call("status", {}))["structuredContent"])
        holder = holder_of(self.environ)
        if (told.calls_running, told.waiting, told.holder_pid) != (0, 0, holder) or holder not in self.pids().values():
            self.tally.fault("afterwards", f"the holder is {holder}, and the status says {told}")
        for session in self.sessions:
            await self._greet(session)
            if psutil.Process(session.pid).children():
                self.tally.fault("afterwards", f"{session.name} has children")
        self._look_at_files()

    async def leave(self) -> None:
        """End all sessions as their clients would; the holder goes last."""
        for session in [*self.sessions[1:], self.sessions[0]]:
            await session.leave()
            self._take_faults(session)

    async def _line(self, session: Session, caller: Caller, more: Callable[[], bool]) -> None:
        kinds: dict[str, tuple[float, Ask]]
        if isinstance(session, StdioSession):
            drawn = {**STDIO, REAL_KIND: (REAL_WEIGHT, real)} if caller.real else STDIO
            kinds = {name: (weight, partial(kind, session, caller)) for name, (weight, kind) in drawn.items()}
            await self._send(caller, kinds, more)
            return
        async with session.client() as http:
            kinds = {name: (weight, partial(kind, http, caller)) for name, (weight, kind) in HTTP.items()}
            await self._send(caller, kinds, more)

    async def _send(self, caller: Caller, kinds: Mapping[str, tuple[float, Ask]], more: Callable[[], bool]) -> None:
        while more():
            caller.sent += 1
            (name,) = caller.random.choices([*kinds], [weight for weight, _ in kinds.values()])
            try:
                self.tally.count(name, await kinds[name][1]())
            except Exception as error:  # Whatever it is, the call did not end as it must.
                self.tally.fault(name, f"{caller.name}, call {caller.sent}: {error!r}")

    async def _greet(self, session: Session) -> None:
        if isinstance(session, StdioSession):
            result = await session.call("chat", {"message": "Hello", "thinking": False, "temperature": 0})
            told = texts(result)[0]
        else:
            asked = {"model": "", "messages": [{"role": "user", "content": "Hello"}], "reasoning_effort": "none"}
            async with session.client() as http:
                reply = await http.post("/v1/chat/completions", json={**asked, "temperature": 0})
            told = reply.json()["choices"][0]["message"]["content"]
        if told != "Hello! How can I help you today?":
            self.tally.fault("afterwards", f"{session.name} answers Hello with {told!r}")

    def _look_at_files(self) -> None:
        names = {path.name for path in self.project.iterdir()}
        strange = {name for name in names if not name.startswith(("note", "draft-", "rows-", "given-up-"))}
        chosen = (Path(self.environ["HOME"]) / ".config/mlx-mcp/active_model").read_text().strip()
        if strange or chosen not in TINIES:
            self.tally.fault("afterwards", f"files {strange}, chosen model {chosen!r}")

    def _take_faults(self, session: Session) -> None:
        for told in session.faults:
            self.tally.fault("sessions", told)
        session.faults.clear()


@asynccontextmanager
async def traffic(home: Path, seed: int, model: RealModel | None = None) -> AsyncGenerator[Traffic]:
    """Start the sessions; the same seed draws the same calls, though not at the same moments."""
    project = home / "project"
    project.mkdir()
    for number in range(FILES):
        (project / f"note{number}.txt").write_text(f"Note {number}.\n")
    for repository in (SMALL, LARGE):
        place_tiny(home / ".cache" / "huggingface" / "hub", repository)
    # A queue that holds all, so that a refusal is a fault.
    environ = private_environ(home) | {"CLAUDE_PROJECT_DIR": str(project), "MCP_LOCAL_LLM_QUEUE_SIZE": "256"}
    if model is not None:
        environ["MCP_LOCAL_LLM_FOLDERS"] = str(model.folder.parent)
    answers: Mapping[str, str] = model.answers if model else {}
    name_of_real = model.folder.name if model else ""
    try:
        async with AsyncExitStack() as stack:
            sessions: list[Session] = [
                await stack.enter_async_context(stdio_session(environ, f"stdio{number}"))
                for number in range(OVER_STDIO)
            ]
            first = sessions[0]
            assert isinstance(first, StdioSession)
            await first.call("set_model", {"name": SMALL})  # It holds the model from now on.
            sessions += [
                await stack.enter_async_context(http_session(environ, f"http{number}")) for number in range(OVER_HTTP)
            ]
            lines = [
                (session, Caller(name, Random(f"{seed} {name}"), project, answers, name_of_real))
                for session in sessions
                for name in (f"{session.name}{letter}" for letter in "abcdefgh"[:LINES])
            ]
            yield Traffic(environ, sessions, lines, Tally(), model)
    finally:
        remove_runtime(environ)
