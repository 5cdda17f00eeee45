"""How a long answer travels: what the status tells, what events tell, and what keeps the connection alive.

The clock jumps, so a minute of silence takes no time.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from itertools import pairwise
from typing import Any

import anyio
import pytest
from starlette.types import Message

from mcp_local_llm.doors.http import InFlightAnswers
from mcp_local_llm.doors.http.api import Pace
from mcp_local_llm.doors.http.messages import MESSAGES, MessageStream
from mcp_local_llm.doors.http.openai import CHAT, OpenAIStream
from mcp_local_llm.doors.http.streaming import EventStreamResponse, WholeResponse
from mcp_local_llm.values.chat import ChatChunk
from mcp_local_llm.values.errors import BackendUnavailableError, BusyError, LocalLLMError
from mcp_local_llm.values.progress import PROGRESS_INTERVAL_S, Progress, ReportProgress
from mcp_local_llm.wire.openai.completions import TextCompletionStream
from mcp_local_llm.wire.openai.write_response import CompletionIdentity
from mcp_local_llm.wire.sse import SseItem
from tests.clients import WAIT_S
from tests.virtual_time import VirtualTimeLoop

ONE, TWO = "one", "two"
DONE = 'data: {"text": "done"}\n\n'


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Callable[[], VirtualTimeLoop]]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


class Connection:
    """A client's end of one request: it keeps what it is sent, and goes when it is told to."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.opened: float | None = None
        self.parts: list[str] = []
        self.whole = False
        self.gone = anyio.Event()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.opened = message["status"], anyio.current_time()
        else:
            self.parts += [message["body"].decode()] if message["body"] else []
            self.whole = not message.get("more_body", False)


class Texts(TextCompletionStream):
    """Each text is an event."""

    def __init__(self) -> None:
        super().__init__(CompletionIdentity("", 0, ""))

    def events(self, chunk: ChatChunk) -> list[dict[str, Any]]:
        return [{"text": chunk.text}]


def told(text: str) -> ChatChunk:
    return ChatChunk(text=text)


async def talk(
    events: Callable[[ReportProgress], AsyncGenerator[ChatChunk]],
    in_flight: InFlightAnswers | None = None,
    pace: Pace = CHAT.pace,
) -> Connection:
    """Send the events of one answer to a client that stays."""
    connection = Connection()
    answer = EventStreamResponse(
        events, OpenAIStream(lambda _: Texts()), pace, in_flight=in_flight or InFlightAnswers(), client="test"
    )
    with anyio.fail_after(WAIT_S * 100):
        await answer({}, connection.receive, connection.send)
    return connection


async def test_a_silent_load_is_bridged_by_comments_with_the_latest_progress() -> None:
    async def events(report: ReportProgress) -> AsyncGenerator[ChatChunk]:
        report(Progress("loading", 1, 4))
        await anyio.sleep(3)
        report(Progress("loading", 2, 4))
        await anyio.sleep(11)
        yield told("done")

    connection = await talk(events)
    comments, last = connection.parts[:-1], connection.parts[-1]
    assert last == DONE
    assert comments[:2] == [": local-llm loading 1/4\n\n", ": local-llm loading 2/4\n\n"]
    # Two heartbeats in eleven seconds without news.
    assert comments[2:] == [": local-llm loading 2/4\n\n"] * 2
    assert connection.whole


async def test_without_any_progress_the_connection_is_kept_alive_all_the_same() -> None:
    async def events(report: ReportProgress) -> AsyncGenerator[ChatChunk]:
        await anyio.sleep(6)
        yield told("done")

    assert (await talk(events)).parts == [": keepalive\n\n", DONE]


async def test_a_request_in_the_queue_opens_its_stream_at_once_where_the_api_wants_that() -> None:
    async def events(report: ReportProgress) -> AsyncGenerator[ChatChunk]:
        report(Progress("loading"))
        await anyio.sleep(2)
        opened.append(anyio.current_time())
        report(Progress("queued", 1))
        await anyio.sleep(8)
        raise BusyError("Nobody waits so long.")
        yield told("")

    opened: list[float] = []
    connection = await talk(events, pace=Pace(status_wait_s=60, beat_s=5, open_when_admitted=True))
    assert connection.status == 200
    assert connection.opened is not None
    assert connection.opened - opened[0] <= PROGRESS_INTERVAL_S
    assert connection.parts[0] == ": local-llm queued 1/?\n\n"
    assert len(connection.parts) == 2


async def test_a_long_prefill_of_a_message_is_bridged_by_pings() -> None:
    async def chunks(report: ReportProgress) -> AsyncGenerator[ChatChunk]:
        for done in range(8):
            report(Progress("prefill", done, 8))
            await anyio.sleep(4)
        raise BusyError("Nobody waits so long.")
        yield told("")

    connection, at = Connection(), list[float]()

    class Timed(MessageStream):
        def beat(self, progress: Progress | None) -> Sequence[SseItem]:
            at.append(anyio.current_time())
            return super().beat(progress)

    answer = EventStreamResponse(chunks, Timed(), MESSAGES.pace, in_flight=InFlightAnswers(), client="test")
    with anyio.fail_after(WAIT_S):
        await answer({}, connection.receive, connection.send)
    *pings, failure = connection.parts
    assert set(pings) == {'event: ping\ndata: {"type": "ping"}\n\n'}
    assert '"overloaded_error"' in failure
    assert connection.opened is not None
    gaps = [later - earlier for earlier, later in pairwise([connection.opened, *at])]
    assert len(gaps) == len(pings) - 1 >= 3
    assert all(5 <= gap <= 15 for gap in gaps)


async def test_an_early_failure_is_a_status_and_nothing_was_sent() -> None:
    async def events(report: ReportProgress) -> AsyncGenerator[ChatChunk]:
        report(Progress("loading"))
        await anyio.sleep(0.9)
        raise BusyError("The queue is full.")
        yield told("")

    with pytest.raises(BusyError):
        await talk(events)


async def test_a_late_failure_is_an_event_and_the_stream_ends() -> None:
    async def events(report: ReportProgress) -> AsyncGenerator[ChatChunk]:
        yield told("first")
        raise BusyError("The queue is full.")

    connection = await talk(events)
    assert connection.status == 200
    assert connection.parts[0] == 'data: {"text": "first"}\n\n'
    assert '"code": "rate_limit_exceeded"' in connection.parts[1]
    assert connection.whole


async def test_a_client_that_goes_ends_the_work() -> None:
    connection, ended = Connection(), anyio.Event()

    async def events(report: ReportProgress) -> AsyncGenerator[ChatChunk]:
        try:
            yield told("first")
            connection.gone.set()
            await anyio.sleep_forever()
        finally:
            ended.set()

    in_flight = InFlightAnswers()
    with anyio.fail_after(WAIT_S):
        writer = OpenAIStream(lambda _: Texts())
        answer = EventStreamResponse(events, writer, CHAT.pace, in_flight=in_flight, client="test")
        await answer({}, connection.receive, connection.send)
    assert ended.is_set()
    assert not connection.whole
    assert in_flight.state().answers == 0


async def test_the_end_of_serving_is_told_to_answers_under_way() -> None:
    in_flight = InFlightAnswers()

    async def events(report: ReportProgress) -> AsyncGenerator[ChatChunk]:
        yield told("first")
        in_flight.end()
        await anyio.sleep_forever()

    connection = await talk(events, in_flight)
    assert '"code": "backend_unavailable"' in connection.parts[-1]
    assert connection.whole
    await in_flight.ended()


@pytest.mark.parametrize("gone", [True, False])
async def test_an_answer_in_one_piece_ends_with_its_client_or_with_serving(gone: bool) -> None:
    in_flight, connection, ended = InFlightAnswers(), Connection(), anyio.Event()

    async def work(report: ReportProgress) -> dict[str, str]:
        if gone:
            connection.gone.set()
        else:
            in_flight.end()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        return {}

    failure: LocalLLMError | None = None
    with anyio.fail_after(WAIT_S):
        try:
            await WholeResponse(work, in_flight=in_flight, client="test")({}, connection.receive, connection.send)
        except BackendUnavailableError as error:
            failure = error
    assert ended.is_set()
    assert connection.status is None
    assert (failure is None) is gone


async def test_answers_under_way_are_counted_by_their_clients() -> None:
    in_flight = InFlightAnswers()
    with in_flight.answering(ONE), in_flight.answering(ONE), in_flight.answering(TWO):
        assert in_flight.state().clients == ("one", "two")
        assert in_flight.state().answers == 3
    assert in_flight.state().answers == 0
