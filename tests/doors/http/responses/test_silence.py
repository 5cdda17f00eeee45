"""What a client of the Responses API hears while nothing is said yet. The clock jumps, so a minute takes no time."""

from collections.abc import AsyncGenerator, Callable

import anyio
import pytest

from mcp_local_llm.doors.http import InFlightAnswers
from mcp_local_llm.doors.http.responses import RESPONSES
from mcp_local_llm.doors.http.streaming import EventStreamResponse
from mcp_local_llm.values.chat import ChatChunk
from mcp_local_llm.values.errors import ContextLengthError, GenerationError, LocalLLMError
from mcp_local_llm.values.progress import PROGRESS_INTERVAL_S, Progress, ReportProgress
from mcp_local_llm.wire.responses.read_request import incoming_response
from tests.clients import WAIT_S
from tests.doors.http.door import Json
from tests.doors.http.responses.streams import events
from tests.doors.http.test_answers import Connection
from tests.virtual_time import VirtualTimeLoop


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Callable[[], VirtualTimeLoop]]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


async def talk(chunks: Callable[[ReportProgress], AsyncGenerator[ChatChunk]]) -> Connection:
    connection = Connection()
    writer = RESPONSES.stream(incoming_response({"input": "Hi", "stream": True}))
    answer = EventStreamResponse(chunks, writer, RESPONSES.pace, in_flight=InFlightAnswers(), client="test")
    with anyio.fail_after(WAIT_S * 100):
        await answer({}, connection.receive, connection.send)
    return connection


def heard(connection: Connection) -> list[Json]:
    return events("".join(connection.parts))


PHASES: dict[str, Progress] = {
    "the queue": Progress("queued", 1),
    "the prompt": Progress("prefill", 100, 9000),
    "a load": Progress("loading", 1, 4),
}


@pytest.mark.parametrize("name", PHASES)
async def test_a_wait_is_filled_with_events_that_codex_counts_as_life(name: str) -> None:
    begun, silence = list[float](), 58.0

    async def chunks(report: ReportProgress) -> AsyncGenerator[ChatChunk]:
        begun.append(anyio.current_time())
        report(PHASES[name])
        await anyio.sleep(silence)
        raise GenerationError("The engine broke.")
        yield ChatChunk()

    connection = await talk(chunks)
    assert connection.opened is not None
    # A load may still fail with a status of its own for a second.
    assert connection.opened - begun[0] <= (1 if name == "a load" else PROGRESS_INTERVAL_S)
    told = heard(connection)
    kinds = [event["type"] for event in told]
    beats = kinds.count("response.in_progress")
    assert kinds == ["response.created", *["response.in_progress"] * beats, "response.failed"]
    assert silence / 15 <= beats <= silence / 5 + 1
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    assert told[-1]["response"]["error"] == {"code": "server_error", "message": "The engine broke."}


async def test_a_long_call_that_is_shown_only_at_its_end_is_bridged_too() -> None:
    async def chunks(report: ReportProgress) -> AsyncGenerator[ChatChunk]:
        yield ChatChunk(text="I write.")
        await anyio.sleep(12)
        raise GenerationError("The engine broke.")

    kinds = [event["type"] for event in heard(await talk(chunks))]
    assert kinds[kinds.index("response.output_text.delta") :][1:-1] == ["response.in_progress"] * 2


FAILURES: list[tuple[LocalLLMError, str]] = [
    (ContextLengthError("Too long."), "context_length_exceeded"),
    (GenerationError("Broken."), "server_error"),
]


@pytest.mark.parametrize(("error", "code"), FAILURES)
async def test_a_failure_before_the_headers_is_a_status_and_behind_them_an_event(
    error: LocalLLMError, code: str
) -> None:
    async def early(report: ReportProgress) -> AsyncGenerator[ChatChunk]:
        raise error
        yield ChatChunk()

    async def late(report: ReportProgress) -> AsyncGenerator[ChatChunk]:
        report(Progress("queued", 1))
        await anyio.sleep(1)
        raise error
        yield ChatChunk()

    with pytest.raises(LocalLLMError):
        await talk(early)
    assert heard(await talk(late))[-1]["response"]["error"]["code"] == code
