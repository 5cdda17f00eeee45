"""OpenAI's Responses API: `POST /v1/responses` and `POST /v1/responses/input_tokens`, and their errors."""

import time
import uuid
from collections.abc import Sequence

from mcp_local_llm.doors.http.api import ApiFormat, ErrorFormat, Json, Pace, named_events
from mcp_local_llm.values.chat import ChatChunk, ChatResult, TokenCounts
from mcp_local_llm.values.errors import LocalLLMError
from mcp_local_llm.values.progress import Progress
from mcp_local_llm.wire.openai.errors import refusal
from mcp_local_llm.wire.openai.response_schema import OpenAIError
from mcp_local_llm.wire.responses.errors import failure
from mcp_local_llm.wire.responses.read_request import IncomingResponse, incoming_response
from mcp_local_llm.wire.responses.write_response import ResponseIdentity, ResponseStream
from mcp_local_llm.wire.sse import SseItem


class ResponsesStream:
    """Writes the events of one answer; Codex counts only events as signs of life, so heartbeats are events too."""

    def __init__(self, asked: IncomingResponse) -> None:
        self._events = _writer(asked)

    def begin(self) -> Sequence[SseItem]:
        """Return the events that open a response."""
        return named_events(*self._events.begin())

    def beat(self, progress: Progress | None) -> Sequence[SseItem]:
        """Return an event that repeats that the response is in progress."""
        return named_events(self._events.beat())

    def chunk(self, chunk: ChatChunk) -> Sequence[SseItem]:
        """Return the events of one chunk."""
        return named_events(*self._events.events(chunk))

    def failure(self, error: LocalLLMError, message: str) -> Sequence[SseItem]:
        """Return the event of a failure."""
        return named_events(self._events.failure(error, message))


def _writer(asked: IncomingResponse) -> ResponseStream:
    return ResponseStream(ResponseIdentity(uuid.uuid4().hex, int(time.time())), asked)


def _whole(asked: IncomingResponse, result: ChatResult) -> Json:
    return _writer(asked).whole(result)


def _count(counts: TokenCounts) -> Json:
    return {"object": "response.input_tokens", "input_tokens": counts.tokens[0]}


RESPONSES = ApiFormat(incoming_response, _whole, ResponsesStream, Pace(open_when_admitted=True), _count)
RESPONSES_ERRORS = ErrorFormat(failure, refusal, OpenAIError)
