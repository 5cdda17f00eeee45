"""OpenAI's API: `POST /v1/chat/completions` and `POST /v1/completions`, and its errors."""

import time
import uuid
from collections.abc import Callable, Sequence

from mcp_local_llm.doors.http.api import ApiFormat, ErrorFormat, Json, Pace, json_event
from mcp_local_llm.values.chat import ChatChunk, ChatResult
from mcp_local_llm.values.errors import BackendUnavailableError, BusyError, LocalLLMError
from mcp_local_llm.values.progress import Progress
from mcp_local_llm.wire.http_error import HttpError
from mcp_local_llm.wire.openai.completions import TextCompletionStream, incoming_completion, text_completion
from mcp_local_llm.wire.openai.errors import error_body, refusal
from mcp_local_llm.wire.openai.read_request import IncomingRequest, incoming_request
from mcp_local_llm.wire.openai.response_schema import OpenAIError
from mcp_local_llm.wire.openai.write_response import CompletionIdentity, CompletionStream, completion
from mcp_local_llm.wire.sse import DONE, SseComment, SseEvent, SseItem, progress_comment

_PACE = Pace(tell_progress=True)

Completions = CompletionStream | TextCompletionStream
"""Turn chunks into events."""


class OpenAIStream:
    """Writes OpenAI's streams: progress as comments, which clients ignore, and `[DONE]` at the end."""

    def __init__(self, begin: Callable[[str], Completions]) -> None:
        self._begin = begin
        self._events: Completions | None = None

    def begin(self) -> Sequence[SseItem]:
        """Return nothing: the first event names the model, which the first chunk tells."""
        return ()

    def beat(self, progress: Progress | None) -> Sequence[SseItem]:
        """Return a comment with the progress."""
        return (SseComment(progress_comment(progress) if progress else "keepalive"),)

    def chunk(self, chunk: ChatChunk) -> Sequence[SseItem]:
        """Return the events of one chunk."""
        self._events = self._events or self._begin(chunk.model)
        events = [json_event(event) for event in self._events.events(chunk)]
        return events if chunk.result is None else [*events, SseEvent(DONE)]

    def failure(self, error: LocalLLMError, message: str) -> Sequence[SseItem]:
        """Return the event of a failure; no `[DONE]` follows."""
        return (json_event(error_body(error, message)),)


def _identity(kind: str, model: str) -> CompletionIdentity:
    """Make the id of a new answer; `kind` is its prefix."""
    return CompletionIdentity(f"{kind}-{uuid.uuid4().hex}", int(time.time()), model)


def _whole_chat(asked: IncomingRequest, result: ChatResult) -> Json:
    return completion(result, _identity("chatcmpl", result.model))


def _whole_text(asked: IncomingRequest, result: ChatResult) -> Json:
    return text_completion(result, _identity("cmpl", result.model))


def _stream_chat(asked: IncomingRequest) -> OpenAIStream:
    usage = asked.include_usage
    return OpenAIStream(lambda model: CompletionStream(_identity("chatcmpl", model), include_usage=usage))


def _stream_text(asked: IncomingRequest) -> OpenAIStream:
    usage = asked.include_usage
    return OpenAIStream(lambda model: TextCompletionStream(_identity("cmpl", model), include_usage=usage))


def _failure(error: LocalLLMError, message: str) -> HttpError:
    # OpenAI's client repeats every 409 and 5xx by itself; most of ours fail the same way again.
    again = isinstance(error, BusyError | BackendUnavailableError)
    return HttpError(error.status, error_body(error, message), {"x-should-retry": str(again).lower()})


CHAT = ApiFormat(incoming_request, _whole_chat, _stream_chat, _PACE)
TEXT = ApiFormat(incoming_completion, _whole_text, _stream_text, _PACE)
OPENAI_ERRORS = ErrorFormat(_failure, refusal, OpenAIError)
