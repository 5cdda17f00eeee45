"""Responses that take long: one JSON body, or a stream of events with progress in between.

Both cancel the work when the client disconnects. Progress is sent as comments of the stream, which clients ignore and
which keep a connection alive through a load or a long prefill.
"""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mcp_local_llm.doors.http.in_flight import InFlightAnswers
from mcp_local_llm.doors.results_text import without_tools
from mcp_local_llm.values.errors import LocalLLMError
from mcp_local_llm.values.progress import PROGRESS_INTERVAL_S, PROGRESS_KEEPALIVE_S, Progress, ReportProgress
from mcp_local_llm.wire.json_values import encodable
from mcp_local_llm.wire.openai.errors import error_body
from mcp_local_llm.wire.sse import progress_comment, sse_comment, sse_event

STATUS_WAIT_S = 1.0
"""Seconds in which an error sets the HTTP status; after them the stream is open, and an error is an event."""


_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


Events = Callable[[ReportProgress], AsyncGenerator[str]]
"""Makes the data of one event after the other, and reports progress between them."""


Work = Callable[[ReportProgress], Awaitable[Mapping[str, Any]]]
"""Makes a whole answer."""


def in_words_of_http(text: str) -> str:
    """Write a message that names MCP tools for a client that has none."""
    return without_tools(text, "GET /v1/models")


def failure_body(error: LocalLLMError) -> dict[str, Any]:
    """Write the body of a failure."""
    return error_body(error, in_words_of_http(str(error)))


class WholeResponse(Response):
    """Sends the result of the work as one JSON body."""

    def __init__(self, work: Work, *, in_flight: InFlightAnswers, client: str) -> None:
        self._work = work
        self._in_flight = in_flight
        self._client = client
        self._result: Response | None = None
        self._failure: LocalLLMError | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Do the work, then send."""
        with self._in_flight.answering(self._client):
            await self._in_flight.unless_ended(receive, self._answer)
        if self._failure is not None:
            raise self._failure
        if self._result is not None:
            await self._result(scope, receive, send)

    async def _answer(self) -> None:
        try:
            body = json.dumps(await self._work(_ignore), ensure_ascii=False, separators=(",", ":"))
            self._result = Response(encodable(body), media_type="application/json")
        except LocalLLMError as error:
            # Kept: raised here it would arrive inside an exception group.
            self._failure = error


class EventStreamResponse(Response):
    """Sends each event when it is ready."""

    def __init__(self, events: Events, *, in_flight: InFlightAnswers, client: str) -> None:
        self._events = events
        self._in_flight = in_flight
        self._client = client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the last event, or the first failure."""
        stream = _EventStream(send)
        try:
            with self._in_flight.answering(self._client):
                there = await self._in_flight.unless_ended(receive, lambda: self._send(stream))
        except LocalLLMError as error:
            stream.failure = stream.failure or error
            there = True
        if stream.failure is not None:
            if not stream.open:
                raise stream.failure
            await stream.write(sse_event(json.dumps(failure_body(stream.failure), ensure_ascii=False)))
        if there:
            await stream.close()

    async def _send(self, stream: "_EventStream") -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.beat)
            try:
                async with aclosing(self._events(stream.report)) as events:
                    async for data in events:
                        await stream.write(sse_event(data))
            except LocalLLMError as error:
                stream.failure = error
            tasks.cancel_scope.cancel()


class _EventStream:
    """The body of one response; its first byte sends the headers."""

    def __init__(self, send: Send) -> None:
        self.open = False
        self.failure: LocalLLMError | None = None
        self._send = send
        self._lock = anyio.Lock()
        self._news: Progress | None = None
        self._told: Progress | None = None
        self._last = anyio.current_time()

    def report(self, progress: Progress) -> None:
        """Take a step of progress, from any thread; `beat` sends it."""
        self._news = progress

    async def beat(self) -> None:
        """Send new progress, and a comment after `PROGRESS_KEEPALIVE_S` without any."""
        await anyio.sleep(STATUS_WAIT_S)
        while True:
            news = self._news
            if news != self._told or anyio.current_time() - self._last >= PROGRESS_KEEPALIVE_S:
                self._told = news
                await self.write(sse_comment(progress_comment(news) if news else "keepalive"))
            await anyio.sleep(PROGRESS_INTERVAL_S)

    async def write(self, data: bytes) -> None:
        """Send bytes of the body."""
        async with self._lock:
            if not self.open:
                await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
                self.open = True
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
            self._last = anyio.current_time()

    async def close(self) -> None:
        """End the body."""
        async with self._lock:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _ignore(progress: Progress) -> None:
    """Drop progress: a body in one piece has no place for it."""
