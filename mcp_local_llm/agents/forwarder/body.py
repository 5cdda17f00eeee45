"""The body of a request: read ahead, so that the end of the client is noticed even while the server takes nothing."""

from collections import deque
from collections.abc import AsyncIterator

import anyio

from mcp_local_llm.agents.forwarder.model_name import ModelScan
from mcp_local_llm.agents.forwarder.server import Receive

MAX_AHEAD = 34 * 2**20
"""Bytes that are held: the API takes bodies of up to 32 MB. More than this must find its way on first."""


class RequestBody:
    """Holds what has arrived and not gone on yet."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._parts: deque[bytes] = deque()
        self._ahead = 0
        self._ended = False
        self._arrived, self._taken = anyio.Event(), anyio.Event()

    @property
    def has_arrived(self) -> bool:
        """Whether there is something to send on."""
        return bool(self._parts)

    async def read_ahead(self) -> None:
        """Read until the client has disconnected, or has its whole response."""
        while (message := await self._receive())["type"] == "http.request":
            if part := message["body"]:
                self._parts.append(part)
                self._ahead += len(part)
            self._ended = not message["more_body"]
            self._arrived.set()
            while self._ahead > MAX_AHEAD:
                self._taken = anyio.Event()
                await self._taken.wait()

    async def model(self) -> str | None:
        """Read as much as is needed to know the model; None where the body names none."""
        scan, seen = ModelScan(), 0
        while True:
            while seen < len(self._parts):
                seen += 1
                if scan.feed(self._parts[seen - 1]):
                    return scan.model
            if self._ended or self._ahead > MAX_AHEAD:
                return None
            await self._more()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, once."""
        while True:
            while self._parts:
                part = self._parts.popleft()
                self._ahead -= len(part)
                self._taken.set()
                yield part
            if self._ended:
                return
            await self._more()

    async def _more(self) -> None:
        self._arrived = anyio.Event()
        await self._arrived.wait()
