"""The answers under way over HTTP: which clients they are for, and how they end before their time.

It knows no routes and no models.
"""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
from starlette.requests import Request
from starlette.types import Receive

from mcp_local_llm.values.errors import BackendUnavailableError

CLIENT_HEADER = "x-local-llm-client"
"""A client that opens several connections says here who it is, so that they wait as one."""
MAX_CLIENT = 64
"""Characters of that name."""

ENDED = "The server ended before the answer was finished. Send the request again."


@dataclass(frozen=True)
class InFlightState:
    """A look at the in_flight: answers under way, and their clients, each once."""

    answers: int
    clients: tuple[str, ...]


class InFlightAnswers:
    """Counts the answers under way, and ends them all when serving ends."""

    def __init__(self) -> None:
        self._open: dict[object, str] = {}
        self._ended = anyio.Event()

    def state(self) -> InFlightState:
        """Return how things stand."""
        return InFlightState(len(self._open), tuple(sorted(set(self._open.values()))))

    def end(self) -> None:
        """Give every answer under way up; its client gets an error."""
        self._ended.set()

    async def ended(self) -> None:
        """Wait until `end` was called."""
        await self._ended.wait()

    @contextmanager
    def answering(self, client: str) -> Generator[None]:
        """Count an answer for `client` for as long as the block lasts."""
        key = object()
        self._open[key] = client
        try:
            yield
        finally:
            del self._open[key]

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


def client_of(request: Request) -> str:
    """Return the name under which a client's calls wait: what it calls itself, else its program and address."""
    named = request.headers.get(CLIENT_HEADER, "").strip()[:MAX_CLIENT]
    program = request.headers.get("user-agent", "").partition(" ")[0][:MAX_CLIENT]
    address = request.client.host if request.client else "an unknown address"
    return named or f"{program or 'unknown'} at {address}"
