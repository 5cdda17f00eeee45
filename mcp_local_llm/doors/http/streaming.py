"""Responses that take long: one JSON body, or a stream of events with heartbeats in between. It must not know an API.

Both cancel the work when the client disconnects.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mcp_local_llm.doors.http.api import Json, Pace, StreamWriter, json_response
from mcp_local_llm.doors.http.in_flight import InFlightAnswers
from mcp_local_llm.doors.results_text import without_tools
from mcp_local_llm.values.call import mark_failed
from mcp_local_llm.values.chat import ChatChunk
from mcp_local_llm.values.errors import LocalLLMError
from mcp_local_llm.values.progress import PROGRESS_INTERVAL_S, Progress, ReportProgress
from mcp_local_llm.wire.sse import SseItem, sse_bytes

_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


Chunks = Callable[[ReportProgress], AsyncGenerator[ChatChunk]]
"""Makes one chunk of the answer after the other, and reports progress between them."""


Work = Callable[[ReportProgress], Awaitable[Json]]
"""Makes a whole answer."""


def in_words_of_http(text: str) -> str:
    """Write a message that names MCP tools for a client that has none."""
    return without_tools(text, "GET /v1/models")


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
            self._result = json_response(await self._work(_ignore))
        except LocalLLMError as error:
            # Kept: raised here it would arrive inside an exception group.
            self._failure = error


class EventStreamResponse(Response):
    """Sends the events of each chunk when it is ready."""

    def __init__(
        self, chunks: Chunks, writer: StreamWriter, pace: Pace, *, in_flight: InFlightAnswers, client: str
    ) -> None:
        self._chunks = chunks
        self._writer = writer
        self._pace = pace
        self._in_flight = in_flight
        self._client = client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the last event, or the first failure."""
        stream = _EventStream(send, self._writer, self._pace)
        try:
            with self._in_flight.answering(self._client):
                there = await self._in_flight.unless_ended(receive, lambda: self._send(stream))
        except LocalLLMError as error:
            stream.failure = stream.failure or error
            there = True
        if stream.failure is not None:
            if not stream.open:
                raise stream.failure
            mark_failed(stream.failure)
            await stream.write(self._writer.failure(stream.failure, in_words_of_http(str(stream.failure))))
        if there:
            await stream.close()

    async def _send(self, stream: "_EventStream") -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.keep_alive)
            try:
                async with aclosing(self._chunks(stream.report)) as chunks:
                    async for chunk in chunks:
                        if items := self._writer.chunk(chunk):
                            await stream.write(items)
            except LocalLLMError as error:
                stream.failure = error
            tasks.cancel_scope.cancel()


class _EventStream:
    """The body of one response; its first byte sends the headers."""

    def __init__(self, send: Send, writer: StreamWriter, pace: Pace) -> None:
        self.open = False
        self.failure: LocalLLMError | None = None
        self._send = send
        self._writer = writer
        # Asked for before any chunk, so that a writer which numbers its events numbers these first.
        self._opening = writer.begin()
        self._pace = pace
        self._lock = anyio.Lock()
        self._news: Progress | None = None
        self._last = anyio.current_time()

    def report(self, progress: Progress) -> None:
        """Take a step of progress, from any thread; `keep_alive` sends it."""
        self._news = progress

    async def keep_alive(self) -> None:
        """Open the stream once an error cannot set the status any more; then send heartbeats."""
        with anyio.move_on_after(self._pace.status_wait_s):
            while not (self._pace.open_when_admitted and self._admitted()):
                await anyio.sleep(PROGRESS_INTERVAL_S)
        await self.write(())
        told: Progress | None = None
        while True:
            news = self._news
            is_news = self._pace.tell_progress and news != told
            if is_news or anyio.current_time() - self._last >= self._pace.beat_s:
                told = news
                await self.write(self._writer.beat(news))
            await anyio.sleep(PROGRESS_INTERVAL_S)

    async def write(self, items: Sequence[SseItem]) -> None:
        """Send items of the body."""
        async with self._lock:
            if not self.open:
                await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
                self.open = True
                items = (*self._opening, *items)
            if items:
                body = b"".join(map(sse_bytes, items))
                await self._send({"type": "http.response.body", "body": body, "more_body": True})
                self._last = anyio.current_time()

    async def close(self) -> None:
        """End the body."""
        async with self._lock:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _admitted(self) -> bool:
        return self._news is not None and self._news.phase not in ("downloading", "loading")


def _ignore(progress: Progress) -> None:
    """Drop progress: a body in one piece has no place for it."""
