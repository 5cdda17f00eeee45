"""The holder's socket: opened when this process takes the lease, for as long as it holds it."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

from mcp_local_llm.openai_api.api import build_api
from mcp_local_llm.openai_api.listen import bind_unix, serving
from mcp_local_llm.openai_api.traffic import Traffic
from mcp_local_llm.service import LocalLLM


class SocketDoor:
    """Answers other sessions of this user on a Unix socket, inside the running event loop."""

    def __init__(self, path: Path, llm: LocalLLM, leaving: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        """Prepare to answer; nothing is opened yet.

        Args:
            path: of the socket.
            llm: who answers.
            leaving: entered when another session has asked this one to leave and the last answer is out; the model is
                to be unloaded then. Left when the socket is closed; then the lease is to be released.
        """
        self._path = path
        self._llm = llm
        self._leaves = leaving
        self._traffic: Traffic | None = None
        self._task: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def traffic(self) -> Traffic | None:
        """What is under way on the socket; None before it was first opened."""
        return self._traffic

    def sessions(self) -> tuple[int, ...]:
        """Return the processes that have used the model over the socket since it was opened, and still run."""
        return self._traffic.sessions() if self._traffic is not None else ()

    async def open(self) -> None:
        """Begin to answer; does nothing when it is open already.

        Raises:
            ConfigError: the socket cannot be made.
        """
        if self._task is not None and not self._task.done():
            return
        listener = bind_unix(self._path)
        self._traffic, ready = Traffic(), asyncio.Event()
        self._task = asyncio.create_task(self._serve(listener, self._traffic, ready))
        waiting = asyncio.create_task(ready.wait())
        try:
            await asyncio.wait([waiting, self._task], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._task.done():
            self._task.result()

    async def close(self) -> None:
        """Give every answer under way up and stop answering; `leaving` is not entered."""
        if self._task is not None and self._traffic is not None and not self._task.done():
            self._closing = True
            self._traffic.end()
            await asyncio.wait([self._task])
            self._closing = False

    async def _serve(self, listener: socket.socket, traffic: Traffic, ready: asyncio.Event) -> None:
        async with AsyncExitStack() as leaving:
            async with serving(build_api(self._llm, traffic), listener):
                ready.set()
                await traffic.drained()
                if not self._closing:
                    # Still open: whoever asked hears that this process is leaving, however long that takes.
                    await leaving.enter_async_context(self._leaves())
                # Before the lease is released: the next holder makes its own at the same place.
                self._path.unlink(missing_ok=True)
            # From here on the door counts as closed; the loop itself holds tasks only weakly.
            self._leaving, self._task = self._task, None
