"""`POST /v1/chat/completions` and `POST /v1/completions`: read the body, call `chat`, write the answer.

It must not know sockets; `streaming` sends the responses.
"""

import json
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from mcp_local_llm.doors.http.in_flight import InFlightAnswers, client_of
from mcp_local_llm.doors.http.streaming import EventStreamResponse, WholeResponse, in_words_of_http
from mcp_local_llm.llm.llm import LLM, collect_result
from mcp_local_llm.values.chat import ChatChunk, ChatResult
from mcp_local_llm.values.progress import ReportProgress
from mcp_local_llm.wire.json_values import encodable, mended_json, read_json
from mcp_local_llm.wire.openai.completions import TextCompletionStream, incoming_completion, text_completion
from mcp_local_llm.wire.openai.errors import ParameterError
from mcp_local_llm.wire.openai.read_request import IncomingRequest, incoming_request
from mcp_local_llm.wire.openai.write_response import CompletionIdentity, CompletionStream, completion
from mcp_local_llm.wire.sse import DONE

MAX_BODY_BYTES = 32 * 2**20
"""A conversation that fills a window of a million tokens takes about 5 MB."""


class EventWriter(Protocol):
    """Turns chunks into events."""

    def events(self, chunk: ChatChunk) -> list[dict[str, Any]]:
        """Return the events of one chunk."""
        ...


@dataclass(frozen=True)
class ApiFormat:
    """Reads and writes one of the two APIs; `kind` is the prefix of its ids."""

    kind: str
    read: Callable[[object], IncomingRequest]
    whole: Callable[[ChatResult, CompletionIdentity], dict[str, Any]]
    stream: Callable[[CompletionIdentity, bool], EventWriter]

    def identity(self, model: str) -> CompletionIdentity:
        """Make the id of a new answer."""
        return CompletionIdentity(f"{self.kind}-{uuid.uuid4().hex}", int(time.time()), model)


CHAT = ApiFormat(
    "chatcmpl", incoming_request, completion, lambda identity, usage: CompletionStream(identity, include_usage=usage)
)


TEXT = ApiFormat(
    "cmpl",
    incoming_completion,
    text_completion,
    lambda identity, usage: TextCompletionStream(identity, include_usage=usage),
)


@dataclass(frozen=True)
class AnswerRoute:
    """Answers the requests of one API."""

    llm: LLM
    in_flight: InFlightAnswers
    format: ApiFormat

    async def answer(self, request: Request) -> Response:
        """Answer one request, as events where it asks for them."""
        client = client_of(request)
        incoming = self.format.read(await json_body(request))
        incoming = replace(incoming, request=replace(incoming.request, client=client, lower_max_tokens=True))
        if incoming.stream:
            return EventStreamResponse(
                lambda report: self._events(incoming, report), in_flight=self.in_flight, client=client
            )
        return WholeResponse(lambda report: self._whole(incoming, report), in_flight=self.in_flight, client=client)

    def _chunks(self, incoming: IncomingRequest, report: ReportProgress) -> AsyncGenerator[ChatChunk]:
        # Clients that must send a model name, but have none, send an empty one.
        return self.llm.chat(incoming.request, report, model=incoming.model or None)

    async def _whole(self, incoming: IncomingRequest, report: ReportProgress) -> Mapping[str, Any]:
        result = _warned(await collect_result(self._chunks(incoming, report)), incoming.warnings)
        return self.format.whole(result, self.format.identity(result.model))

    async def _events(self, incoming: IncomingRequest, report: ReportProgress) -> AsyncGenerator[str]:
        writer: EventWriter | None = None
        async with aclosing(self._chunks(incoming, report)) as chunks:
            async for chunk in chunks:
                if chunk.result is not None:
                    chunk = replace(chunk, result=_warned(chunk.result, incoming.warnings))
                if writer is None:
                    writer = self.format.stream(self.format.identity(chunk.model), incoming.include_usage)
                for event in writer.events(chunk):
                    yield encodable(json.dumps(event, ensure_ascii=False))
        yield DONE


def _warned(result: ChatResult, warnings: tuple[str, ...]) -> ChatResult:
    """Return the result with the warnings about its request in front, in the words of this door."""
    return replace(result, warnings=tuple(map(in_words_of_http, (*warnings, *result.warnings))))


async def json_body(request: Request, limit: int = MAX_BODY_BYTES) -> object:
    """Read and decode the body.

    Raises:
        HTTPException: 413, it is longer than `limit` bytes.
        ParameterError: it is no JSON.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise _too_long(limit)
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > limit:
            raise _too_long(limit)
    try:
        return read_json(mended_json(raw.decode(json.detect_encoding(raw), "replace")))
    except ValueError as error:
        raise ParameterError(f"The body of the request is no JSON: {error}.", "body") from error


def _too_long(limit: int) -> HTTPException:
    # What is left of the body is not read, so the connection cannot be used again.
    return HTTPException(413, f"The body of the request is longer than {limit} bytes.", {"connection": "close"})
