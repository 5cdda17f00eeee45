"""What an API brings to the HTTP door: how it reads requests, and how it writes answers, events and errors.

`openai` and the other APIs are values of these types; `answer_route` and `streaming` know no API.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel
from starlette.responses import Response

from mcp_local_llm.values.chat import ChatChunk, ChatResult, TokenCounts
from mcp_local_llm.values.errors import LocalLLMError
from mcp_local_llm.values.progress import PROGRESS_KEEPALIVE_S, Progress
from mcp_local_llm.wire.http_error import HttpError
from mcp_local_llm.wire.json_values import encodable, on_one_line
from mcp_local_llm.wire.openai.read_request import IncomingRequest
from mcp_local_llm.wire.sse import SseEvent, SseItem

Json = Mapping[str, Any]


Asked = TypeVar("Asked", bound=IncomingRequest)


class StreamWriter(Protocol):
    """Writes the events of one answer."""

    def begin(self) -> Sequence[SseItem]:
        """Return what is sent at once with the headers."""
        ...

    def beat(self, progress: Progress | None) -> Sequence[SseItem]:
        """Return what keeps the connection alive: after a silence, or for new progress where the API tells that."""
        ...

    def chunk(self, chunk: ChatChunk) -> Sequence[SseItem]:
        """Return the events of one chunk; those of the last chunk, which holds the result, end the stream."""
        ...

    def failure(self, error: LocalLLMError, message: str) -> Sequence[SseItem]:
        """Return the last events of a stream that failed; `message` is the error in the words of this door."""
        ...


@dataclass(frozen=True)
class Pace:
    """When a stream is opened, and how it is kept alive.

    Attributes:
        status_wait_s: seconds in which an error sets the HTTP status; then the headers are sent, and an error is an
            event.
        beat_s: seconds of silence after which a heartbeat is sent.
        open_when_admitted: send the headers as soon as the request waits in the queue or is read: whatever can be
            refused has been by then.
        tell_progress: send a heartbeat for each step of progress as well.
    """

    status_wait_s: float = 1.0
    beat_s: float = PROGRESS_KEEPALIVE_S
    open_when_admitted: bool = False
    tell_progress: bool = False


@dataclass(frozen=True)
class ErrorFormat:
    """How an API tells errors.

    Attributes:
        failure: writes an error of ours, with its message in the words of this door.
        refusal: writes a status of HTTP (a missing key, an unknown path) with a message and a code, if there is one.
        envelope: the schema of both.
    """

    failure: Callable[[LocalLLMError, str], HttpError]
    refusal: Callable[[int, str, str | None], HttpError]
    envelope: type[BaseModel]


@dataclass(frozen=True)
class ApiFormat(Generic[Asked]):
    """One API.

    Attributes:
        read: reads the decoded body.
        whole: writes an answer in one piece.
        stream: makes the writer of a streamed answer.
        pace: when a stream is opened, and how it is kept alive.
        count: writes the number of tokens of a request; None where the API does not count.
    """

    read: Callable[[object], Asked]
    whole: Callable[[Asked, ChatResult], Json]
    stream: Callable[[Asked], StreamWriter]
    pace: Pace = Pace()
    count: Callable[[TokenCounts], Json] | None = None


def json_response(data: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Make a response of JSON data; its texts may hold what UTF-8 cannot, as a path can."""
    body = encodable(json.dumps(data, ensure_ascii=False, separators=(",", ":")))
    return Response(body, status, headers, media_type="application/json")


def json_event(data: Json, kind: str = "message") -> SseEvent:
    """Make an event of JSON data; `kind` names it on a line `event:`."""
    return SseEvent(on_one_line(encodable(json.dumps(data, ensure_ascii=False))), kind)


def named_events(*events: Json) -> list[SseEvent]:
    """Make events that are named by their type, without which neither Claude Code nor Codex takes a stream."""
    return [json_event(event, event["type"]) for event in events]
