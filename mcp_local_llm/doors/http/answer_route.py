"""Answers the requests of any API: reads the body, calls `chat`, hands the chunks to the API's writer.

It must not know sockets; `streaming` sends the responses.
"""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Generic

import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from mcp_local_llm.doors.http.api import ApiFormat, Asked, Json
from mcp_local_llm.doors.http.in_flight import InFlightAnswers, client_of
from mcp_local_llm.doors.http.model_names import ModelNames
from mcp_local_llm.doors.http.streaming import EventStreamResponse, WholeResponse, in_words_of_http
from mcp_local_llm.llm.llm import LLM, collect_result
from mcp_local_llm.values.chat import ChatChunk, ChatResult
from mcp_local_llm.values.errors import ContextLengthError, UnknownModelError
from mcp_local_llm.values.progress import Progress, ReportProgress
from mcp_local_llm.wire.json_values import mended_json, read_json
from mcp_local_llm.wire.openai.errors import ParameterError

MAX_BODY_BYTES = 32 * 2**20
"""A conversation that fills a window of a million tokens takes about 5 MB."""
LONG_BODY = 2**18
"""A longer body is decoded on a thread: one of `MAX_BODY_BYTES` takes seconds, in which other answers wait."""


@dataclass(frozen=True)
class AnswerRoute(Generic[Asked]):
    """Answers the requests of one API."""

    llm: LLM
    in_flight: InFlightAnswers
    format: ApiFormat[Asked]
    names: ModelNames

    async def answer(self, request: Request) -> Response:
        """Answer one request, as events where it asks for them."""
        client = client_of(request)
        asked = self.format.read(await json_body(request))
        if asked.stream:
            return EventStreamResponse(
                lambda report: self._chunks(asked, client, report),
                self.format.stream(asked),
                self.format.pace,
                in_flight=self.in_flight,
                client=client,
            )
        return WholeResponse(lambda report: self._whole(asked, client, report), in_flight=self.in_flight, client=client)

    async def count(self, request: Request) -> Response:
        """Count the prompt tokens of a request, without waiting for answers."""
        client = client_of(request)
        asked = self.format.read(await json_body(request))
        return WholeResponse(
            lambda report: self._counted(asked, client, report), in_flight=self.in_flight, client=client
        )

    async def _counted(self, asked: Asked, client: str, report: ReportProgress) -> Json:
        assert self.format.count is not None
        request, name = replace(asked.request, client=client), await self.names.meant(asked.model)
        try:
            return self.format.count(await self.llm.count((request,), report, model=name))
        except UnknownModelError as error:
            raise await self.names.with_names(error) from error

    async def _whole(self, asked: Asked, client: str, report: ReportProgress) -> Json:
        return self.format.whole(asked, await collect_result(self._chunks(asked, client, report)))

    async def _chunks(self, asked: Asked, client: str, report: ReportProgress) -> AsyncGenerator[ChatChunk]:
        request = replace(asked.request, client=client, lower_max_tokens=True)
        prompt, name = _PromptProgress(report), await self.names.meant(asked.model)
        try:
            async with aclosing(self.llm.chat(request, prompt.report, model=name)) as chunks:
                async for chunk in chunks:
                    result = chunk.result and _warned(chunk.result, asked.warnings)
                    yield replace(chunk, result=result, progress=prompt.first)
        except UnknownModelError as error:
            raise await self.names.with_names(error) from error
        except ContextLengthError as error:
            if self.format.count is None:
                raise
            # Clients of such an API shorten the conversation by these numbers, and an engine may stop counting early.
            counts = await self.llm.count((request,), report, model=name)
            tokens = error.prompt_tokens if counts.estimated else counts.tokens[0]
            raise ContextLengthError(str(error), tokens, error.window) from error


@dataclass
class _PromptProgress:
    """Passes progress on, and keeps the first step of the prefill, which tells how long the prompt is."""

    to: ReportProgress
    first: Progress | None = None

    def report(self, progress: Progress) -> None:
        """Take a step of progress, from any thread."""
        if progress.phase == "prefill" and self.first is None:
            self.first = progress
        self.to(progress)


def _warned(result: ChatResult, warnings: tuple[str, ...]) -> ChatResult:
    """Return the result with the warnings about its request in front, in the words of this door."""
    return replace(result, warnings=tuple(map(in_words_of_http, (*warnings, *result.warnings))))


async def json_body(request: Request, limit: int = MAX_BODY_BYTES) -> object:
    """Read and decode the body.

    Raises:
        HTTPException: 413, it is longer than `limit` bytes.
        ParameterError: it is no JSON, or has too many values.
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
        return await anyio.to_thread.run_sync(_decoded, raw) if len(raw) > LONG_BODY else _decoded(raw)
    except ValueError as error:
        raise ParameterError(f"The body of the request cannot be read as JSON: {error}.", "body") from error


def _decoded(raw: bytearray) -> object:
    return read_json(mended_json(raw.decode(json.detect_encoding(raw), "replace")))


def _too_long(limit: int) -> HTTPException:
    # What is left of the body is not read, so the connection cannot be used again.
    return HTTPException(413, f"The body of the request is longer than {limit} bytes.", {"connection": "close"})
