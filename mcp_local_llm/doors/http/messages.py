"""Anthropic's API: `POST /v1/messages` and `POST /v1/messages/count_tokens`, and their errors."""

from collections.abc import Sequence

from mcp_local_llm.doors.http.api import ApiFormat, ErrorFormat, Json, Pace, named_events
from mcp_local_llm.values.chat import ChatChunk, ChatResult, TokenCounts
from mcp_local_llm.values.errors import LocalLLMError
from mcp_local_llm.values.progress import Progress
from mcp_local_llm.wire.anthropic.errors import failure, refusal
from mcp_local_llm.wire.anthropic.read_request import read_messages_request
from mcp_local_llm.wire.anthropic.response_schema import AnthropicError
from mcp_local_llm.wire.anthropic.write_response import PING, MessageEvents, whole_message
from mcp_local_llm.wire.openai.read_request import IncomingRequest
from mcp_local_llm.wire.sse import SseItem

_PACE = Pace(status_wait_s=3.0, beat_s=5.0, open_when_admitted=True)
"""Claude Code waits 600 s for the headers, then 300 s for each next byte; its users can make that as short as 10 s."""


class MessageStream:
    """Writes the stream of one answer: a ping with the headers, then one in each silence."""

    def __init__(self) -> None:
        self._events = MessageEvents()

    def begin(self) -> Sequence[SseItem]:
        """Return a ping, which may come before the message begins."""
        return named_events(PING)

    def beat(self, progress: Progress | None) -> Sequence[SseItem]:
        """Return a ping."""
        return named_events(PING)

    def chunk(self, chunk: ChatChunk) -> Sequence[SseItem]:
        """Return the events of one chunk."""
        return named_events(*self._events.events(chunk))

    def failure(self, error: LocalLLMError, message: str) -> Sequence[SseItem]:
        """Return the event of a failure."""
        return named_events(failure(error, message).body)


def _whole(asked: IncomingRequest, result: ChatResult) -> Json:
    return whole_message(result)


def _stream(asked: IncomingRequest) -> MessageStream:
    return MessageStream()


def _count(counts: TokenCounts) -> Json:
    return {"input_tokens": counts.tokens[0]}


MESSAGES = ApiFormat(read_messages_request, _whole, _stream, _PACE, _count)
MESSAGES_ERRORS = ErrorFormat(failure, refusal, AnthropicError)
