"""The answers in progress over HTTP: their clients, and how they are cancelled. It must not know routes or models."""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
from starlette.requests import Request
from starlette.types import Receive

from mcp_local_llm.values.errors import BackendUnavailableError

CLIENT_HEADER = "x-local-llm-client"
"""Header in which a client with several connections sends its name, so that they count as one client in the queue."""
SESSION_HEADERS = ("x-claude-code-session-id", "session-id")
"""Headers in which Claude Code and Codex send the id of their session."""
MAX_CLIENT = 64
"""Characters of that name."""

ENDED = "The server ended before the answer was finished. Send the request again."


@dataclass(frozen=True)
class InFlightState:
    """The number of answers in progress, and their clients, each once."""

    answers: int
    clients: tuple[str, ...]


class InFlightAnswers:
    """Counts the answers in progress, and cancels them all when serving ends."""

    def __init__(self) -> None:
        self._open: dict[object, str] = {}
        self._ended = anyio.Event()

    def state(self) -> InFlightState:
        """Return the present numbers."""
        return InFlightState(len(self._open), tuple(sorted(set(self._open.values()))))

    def end(self) -> None:
        """Cancel every answer in progress; its client gets an error."""
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
        """Do `work`, but cancel it when the client disconnects or serving ends; return whether the client is connected.

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
    """Return a client's name in the queue: the one from its header, else its program and session, or its address."""
    named = request.headers.get(CLIENT_HEADER, "").strip()[:MAX_CLIENT]
    program = request.headers.get("user-agent", "").partition(" ")[0][:MAX_CLIENT]
    address = request.client.host if request.client else "an unknown address"
    sessions = (request.headers.get(name, "").strip()[:MAX_CLIENT] for name in SESSION_HEADERS)
    place = next((f"in session {session}" for session in sessions if session), f"at {address}")
    return named or f"{program or 'unknown'} {place}"
