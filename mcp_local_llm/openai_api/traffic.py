"""The answers under way over HTTP: who they are for, and how they end before their time.

It knows no routes and no models.
"""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
from starlette.requests import Request
from starlette.types import Receive

from mcp_local_llm.errors import BackendUnavailableError, HolderGoneError
from mcp_local_llm.openai_api.sessions import Sessions

CLIENT_HEADER = "x-local-llm-client"
"""A client that opens several connections says here who it is, so that they wait as one."""
MAX_CLIENT = 64
"""Characters of that name."""

ENDED = "The server that held the model has ended before the answer was finished. Send the request again."
LEAVING = "This server is finishing its last answers and then ends. Send the request again in a moment."


@dataclass(frozen=True)
class Client:
    """Who asks: the name under which its calls wait, and its process where it came over the Unix socket."""

    name: str
    pid: int | None = None


@dataclass(frozen=True)
class TrafficState:
    """A look at the traffic: answers under way, their clients (each once), and whether new ones are refused."""

    answers: int
    clients: tuple[str, ...]
    draining: bool


class Traffic:
    """Counts the answers under way, ends them all when serving ends, and takes no new ones while it drains."""

    def __init__(self) -> None:
        self._open: dict[object, str] = {}
        self._sessions = Sessions()
        self._draining = False
        self._ended = anyio.Event()
        self._quiet = anyio.Event()

    def state(self) -> TrafficState:
        """Tell how things stand."""
        return TrafficState(len(self._open), tuple(sorted(set(self._open.values()))), self._draining)

    def sessions(self) -> tuple[int, ...]:
        """Return the processes that were answered over the Unix socket and still run."""
        return self._sessions.pids()

    def drain(self) -> None:
        """Take no new answers."""
        self._draining = True
        self._look()

    async def drained(self) -> None:
        """Wait until `drain` was asked for and the last answer is out."""
        await self._quiet.wait()

    def end(self) -> None:
        """Give every answer under way up; its client gets an error."""
        self._draining = True
        self._ended.set()
        self._look()

    @contextmanager
    def answering(self, client: Client) -> Generator[None]:
        """Count an answer for as long as the block lasts.

        Raises:
            HolderGoneError: no new answers are taken.
        """
        if self._draining:
            raise HolderGoneError(LEAVING)
        if client.pid is not None:
            self._sessions.met(client.pid)
        key = object()
        self._open[key] = client.name
        try:
            yield
        finally:
            del self._open[key]
            self._look()

    async def unless_ended(self, receive: Receive, work: Callable[[], Awaitable[None]]) -> bool:
        """Do `work`, but give it up when the client goes or serving ends; say whether the client is still there.

        Raises:
            BackendUnavailableError: serving ended.
        """
        gone, finished = False, False
        async with anyio.create_task_group() as tasks:

            async def watch_client() -> None:
                nonlocal gone
                while (await receive())["type"] != "http.disconnect":
                    pass
                gone = True
                tasks.cancel_scope.cancel()

            async def watch_end() -> None:
                await self._ended.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch_client)
            tasks.start_soon(watch_end)
            await work()
            finished = True
            tasks.cancel_scope.cancel()
        if not finished and not gone:
            raise BackendUnavailableError(ENDED)
        return not gone

    def _look(self) -> None:
        if self._draining and not self._open:
            self._quiet.set()


def client_of(request: Request) -> Client:
    """Return who asks, called what the client calls itself, else by its process, else by its address and program."""
    named = request.headers.get(CLIENT_HEADER, "").strip()[:MAX_CLIENT]
    if request.client is None:
        return Client(named or "unknown")
    if request.client.host == "unix":
        pid = request.client.port
        return Client(named or f"pid {pid}", pid)
    program = request.headers.get("user-agent", "").partition(" ")[0][:MAX_CLIENT]
    return Client(named or f"{program or 'unknown'} at {request.client.host}")
