"""Models of endpoints as engines: the loader that checks the server, and one POST per answer, read as it streams.

It must not know httpx: see `connection`.
"""

import json
import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio

from mcp_local_llm.engines.http.failures import EndpointErrors, loading
from mcp_local_llm.values.chat import ChatChunk, ChatRequest, TokenCounts, estimated_tokens
from mcp_local_llm.values.endpoint import Endpoint
from mcp_local_llm.values.errors import ModelLoadError
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.progress import Progress, ReportProgress
from mcp_local_llm.wire.flavors import FLAVORS
from mcp_local_llm.wire.openai.errors import read_error
from mcp_local_llm.wire.openai.read_response import AnswerPiece, read_answer, read_models
from mcp_local_llm.wire.openai.write_request import outgoing_request
from mcp_local_llm.wire.sse import DONE, SseComment, SseItem, SseReader, read_comment

if TYPE_CHECKING:
    from mcp_local_llm.engines.http.chunks import AnswerCollector

    # httpx comes with it and costs a tenth of a second, which a server that asks no endpoint should not spend.
    from mcp_local_llm.engines.http.connection import Connection, HttpResponse

LOADING_POLL_S = 1.0
"""Seconds between two tries while a server says that it is still loading its model."""


LOADING_S = 1800.0
"""Seconds after which such a server is given up."""


MAX_ANSWER = 4 * 2**20
"""Characters of an answer with its reasoning and calls; a longer one has no end."""


USAGE_WAIT_S = 5.0
"""Seconds to wait for the token counts after the end of an answer, from a server that leaves the stream open."""


PROBE_TIMEOUT_S = 10.0
"""Seconds that a server may take to answer at the first call, and for the words of an error."""


log = logging.getLogger(__name__)


class HttpEngine:
    """One model of one endpoint.

    Attributes:
        model: the model that answers.
        memory: None, because the server holds the weights.
        waiting: 0, because the queue is on the server.
        lost: False, because a server that failed may answer the next request.
    """

    memory: None = None
    waiting: int = 0
    lost: bool = False

    def __init__(
        self,
        model: ModelInfo,
        connection: "Connection",
        *,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        usage_wait_s: float = USAGE_WAIT_S,
    ) -> None:
        self.model = model
        self._connection = connection
        self._sleep = sleep
        self._usage_wait_s = usage_wait_s

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk]:
        """Answer `request`; see `Engine.stream`. Closing the iterator closes the connection, which ends the answer.

        Raises:
            InvalidRequestError: the server's flavor does not know a field, or the server refused the request.
            ContextLengthError, BusyError, UnknownModelError, ConfigError: as the server said.
            BackendUnavailableError, BackendProtocolError: the server did not answer, or not in the protocol.
        """
        # Here and not above: the parser behind it takes a fiftieth of a second, which a handshake need not wait.
        from mcp_local_llm.engines.http.chunks import AnswerCollector

        endpoint, errors = self._connection.endpoint, self._connection.errors(self.model.id)
        name = endpoint.served_name(self.model.id)
        outgoing = outgoing_request(request, name, FLAVORS[endpoint.flavor])
        answer = AnswerCollector(request, self.model.id, endpoint, outgoing.warnings)
        log.info("sends the request to %s", endpoint.name)
        yield ChatChunk(Progress("prefill"))
        for _ in range(int(LOADING_S / LOADING_POLL_S)):
            async with self._connection.post(outgoing.path, outgoing.body, errors) as response:
                body = b"" if response.status == 200 else await _error_body(response)
                # Our own server sends error codes, and its messages may hold any word.
                if endpoint.flavor == "mcp-local-llm" or not loading(response.status, body):
                    if response.status != 200:
                        raise errors.status(response.status, body, response.headers)
                    async with aclosing(self._pieces(response, errors, answer)) as pieces:
                        async for piece in pieces:
                            if chunk := answer.take(piece):
                                yield chunk
                            if answer.length > MAX_ANSWER:
                                raise errors.garbage(f"an answer of more than {MAX_ANSWER} characters")
                    break
            yield ChatChunk(Progress("loading"))
            await self._sleep(LOADING_POLL_S)
        else:
            raise errors.still_loading(LOADING_S)
        yield ChatChunk(result=answer.result())

    async def count(self, items: Sequence[ChatRequest | str]) -> TokenCounts:
        """Estimate prompt tokens from the characters; see `Engine.count`."""
        tokens = tuple(estimated_tokens(_characters(item)) for item in items)
        return TokenCounts(self.model.id, tokens, self.model.context_length, estimated=True)

    async def unload(self) -> None:
        """Do nothing: the model is the server's."""

    async def _pieces(
        self, response: "HttpResponse", errors: EndpointErrors, answer: "AnswerCollector"
    ) -> AsyncGenerator[AnswerPiece]:
        """Yield the pieces of an answer; raise where the response is an error or ends early."""
        if not response.streams:
            yield _piece((await response.body()).decode(errors="replace"), errors)
            return
        async with aclosing(events_of(response, errors)) as items:
            done, until = False, math.inf
            while not (done or answer.complete):
                item: SseItem | None = None
                if answer.ended:
                    # After the end only the counts can follow; not every server closes the stream or says so.
                    until = min(until, anyio.current_time() + self._usage_wait_s)
                with anyio.CancelScope(deadline=until):
                    item = await anext(items, None)
                if item is None:
                    break
                done = not isinstance(item, SseComment) and item.data.strip() == DONE
                if isinstance(item, SseComment):
                    if progress := read_comment(item.text):
                        yield AnswerPiece(progress=progress)
                elif not done and item.data.strip():
                    yield _piece(item.data, errors)
        if not (done or answer.ended):
            raise errors.cut("", answer.pieces)


class EndpointLoader:
    """Connects to the endpoints of the settings; keys are read from `environ` when a request is sent."""

    def __init__(self, environ: Mapping[str, str], *, sleep: Callable[[float], Awaitable[None]] = anyio.sleep) -> None:
        self._environ = environ
        self._sleep = sleep
        self._reached: dict[str, HttpEngine] = {}

    async def load(self, model: ModelInfo, report: ReportProgress) -> HttpEngine:
        """Return the engine of an endpoint's model; at the first call the server must answer and have loaded.

        Raises:
            BackendUnavailableError, ConfigError, BackendProtocolError: the server does not answer, or refuses us.
            ModelLoadError: the model has no endpoint.
        """
        if model.endpoint is None:
            raise ModelLoadError(f"{model.id} is no model of an endpoint.")
        known = self._reached.get(model.id)
        if known is not None and _is_same(known.model, model):
            return known
        connection = _connect(model.endpoint, self._environ)
        body = await self._reach(connection, report)
        if model.context_length is None:
            model = replace(model, context_length=_told_window(body, model.endpoint.served_name(model.id)))
        engine = HttpEngine(model, connection, sleep=self._sleep)
        self._reached[model.id] = engine
        return engine

    async def _reach(self, connection: "Connection", report: ReportProgress) -> bytes:
        """Ask for the list of models, and return it; any response but a refusal shows that the server runs."""
        errors = connection.errors()
        ours = connection.endpoint.flavor == "mcp-local-llm"
        report(Progress("loading"))
        for _ in range(int(LOADING_S / LOADING_POLL_S)):
            response, body = await connection.get("/models", PROBE_TIMEOUT_S, errors)
            if response.status in (401, 403) or 300 <= response.status < 400:
                raise errors.status(response.status, body, response.headers)
            if ours or not loading(response.status, body):
                return body
            report(Progress("loading"))
            await self._sleep(LOADING_POLL_S)
        raise errors.still_loading(LOADING_S)


async def events_of(response: "HttpResponse", errors: EndpointErrors) -> AsyncGenerator[SseItem]:
    """Yield the events and comments of a stream; anything else is a `BackendProtocolError`."""
    reader = SseReader()
    try:
        async for chunk in response.chunks():
            for item in reader.feed(chunk):
                yield item
        for item in reader.finish():
            yield item
    except ValueError as error:
        raise errors.garbage(str(error)) from error


async def _error_body(response: "HttpResponse") -> bytes:
    """Read the body of an error; the status says enough where it does not end."""
    with anyio.move_on_after(PROBE_TIMEOUT_S):
        return await response.body()
    return b""


def _piece(data: str, errors: EndpointErrors) -> AnswerPiece:
    """Read the data of one event, or a whole answer; an error in it is raised."""
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise errors.garbage(f"no JSON but {data[:200]!r}") from error
    if error := read_error(value):
        raise errors.from_server(error)
    try:
        return read_answer(value)
    except ValueError as error:
        raise errors.garbage(str(error)) from error


def _is_same(known: ModelInfo, wanted: ModelInfo) -> bool:
    """Whether a model that was reached is the wanted one; a server may have been started anew with another window."""
    return known.endpoint == wanted.endpoint and wanted.context_length in (None, known.context_length)


def _told_window(body: bytes, served_name: str) -> int | None:
    """Return the window that a server's list tells of a model, or of the only one that it has."""
    try:
        models = read_models(json.loads(body))
    except (ValueError, RecursionError):
        return None
    return next((one.context_length for one in models if one.name == served_name or len(models) == 1), None)


def _characters(item: ChatRequest | str) -> int:
    return len(item) if isinstance(item, str) else item.characters


def _connect(endpoint: Endpoint, environ: Mapping[str, str]) -> "Connection":
    # Here and not above: importing httpx costs a tenth of a second, which only a user of endpoints should spend.
    from mcp_local_llm.engines.http.connection import Connection

    return Connection(endpoint, environ)
