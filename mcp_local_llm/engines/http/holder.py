"""The process that holds the model, seen from a session that attaches to it over its Unix socket."""

import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_local_llm.chat import ChatRequest
from mcp_local_llm.endpoint import Endpoint
from mcp_local_llm.engine import ChatChunk, EngineMemory, HolderReport, HolderSwitch, ReportProgress
from mcp_local_llm.engines.http.engine import HttpEngine, events_of
from mcp_local_llm.engines.http.failures import Failures
from mcp_local_llm.errors import BackendProtocolError, BackendUnavailableError, HolderGoneError
from mcp_local_llm.model import ModelInfo
from mcp_local_llm.wire.envelope import read_error
from mcp_local_llm.wire.json_values import JsonObject, as_number, as_object, as_text
from mcp_local_llm.wire.progress import read_comment
from mcp_local_llm.wire.sse import SseComment

if TYPE_CHECKING:
    # httpx comes with it and costs a tenth of a second, which a session that holds the model itself should not spend.
    from mcp_local_llm.engines.http.connection import Connection, Reply

PROTOCOL = 1
"""Of the control part; a holder that speaks a newer one does not understand us."""
ANSWER_TIMEOUT_S = 5.0
"""Seconds in which a holder says who it is; it does so while it loads and answers, too."""
SILENCE_S = 60.0
"""Seconds after which a holder with our request counts as stuck: one that works says something every few seconds."""


@dataclass(frozen=True)
class HolderFailures(Failures):
    """What can go wrong on the way to the holder. What it tells itself passes as it is."""

    def unreachable(self, reason: str) -> HolderGoneError:
        """Say that nobody listens: it is starting, or it has gone."""
        return HolderGoneError("The process that holds the model does not answer on its socket. Try again in a moment.")

    def silent(self, seconds: float | None) -> BackendUnavailableError:
        """Say that it lives but does not answer: stopped, or swapping."""
        limit = "" if seconds is None else f" for {seconds:g} s"
        return BackendUnavailableError(f"The process that holds the model said nothing{limit}.")

    def cut(self, reason: str, tokens: int = 0) -> BackendUnavailableError:
        """Say that it died with our request under way, which is not repeated by itself: it may have been the cause."""
        return BackendUnavailableError(
            "The process that held the model ended before this answer was finished. Send the request again; the "
            "next call loads the model anew."
        )


class SocketHolder:
    """Asks the holder on `socket`; connects for each question."""

    def __init__(
        self, socket: Path, version: str, *, alive: Callable[[], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare to ask.

        Args:
            socket: where it answers.
            version: of this process.
            alive: whether another process holds the model at this moment.
            clock: in seconds.
        """
        self._socket = socket
        self._version = version
        self._alive = alive
        self._clock = clock

    async def load(self, model: ModelInfo, report: ReportProgress) -> "AttachedEngine":
        """Attach to the holder once it has made `model` resident; see `residency.shared.Holder`."""
        await self.settle(model, report)
        return AttachedEngine(HttpEngine(model, self._answers, clock=self._clock), self._alive)

    async def settle(self, model: ModelInfo, report: ReportProgress) -> HolderSwitch:
        """Let the holder make `model` resident, with its progress; see `residency.shared.Holder`."""
        connection = self._control
        failures = connection.failures(model.id)
        async with connection.post("/load", {"name": model.serving.profile or model.id}, failures) as reply:
            if reply.status != 200:
                raise failures.status(reply.status, await reply.body(), reply.headers)
            done = await _finished(reply, failures, report)
        return HolderSwitch(done.get("loaded") is True, as_text(done.get("previous")) or None)

    async def leaving(self) -> bool:
        """Whether the holder is about to leave; an older one is asked to. See `residency.shared.Holder`."""
        who = await self._asked("/hello")
        version, protocol = str(who.get("version")), as_number(who.get("protocol")) or 0
        if protocol > PROTOCOL:
            raise BackendProtocolError(
                f"The model is held by mcp-local-llm {version}, which this older version {self._version} does not "
                "understand. Start this session anew."
            )
        if who.get("draining"):
            return True
        if protocol == PROTOCOL and version_key(version) >= version_key(self._version):
            return False
        connection = self._control
        async with connection.post("/drain", {}, connection.failures()) as reply:
            await reply.body()
        return True

    async def report(self) -> HolderReport:
        """Let the holder tell how it stands; see `residency.shared.Holder`."""
        told = await self._asked("/status")
        return HolderReport(int(as_number(told.get("pid")) or 0), as_object(told.get("status")))

    async def _asked(self, path: str) -> JsonObject:
        connection = self._control
        failures = connection.failures()
        async with connection.get(path, ANSWER_TIMEOUT_S, failures) as reply:
            body = await reply.body()
            if reply.status != 200:
                raise failures.status(reply.status, body, reply.headers)
        try:
            return as_object(json.loads(body))
        except ValueError as error:
            raise BackendProtocolError(f"The process that holds the model answered {body[:100]!r}.") from error

    @cached_property
    def _control(self) -> "Connection":
        return self._connect("/control")

    @cached_property
    def _answers(self) -> "Connection":
        return self._connect("/v1")

    def _connect(self, part: str) -> "Connection":
        # Here and not above: see TYPE_CHECKING.
        from mcp_local_llm.engines.http.connection import Connection

        # The holder knows models by the ids that they have here, so this endpoint's name is no part of them.
        url = f"http://localhost{part}"
        endpoint = Endpoint(name="holder", url=url, flavor="mcp-local-llm", read_timeout_s=SILENCE_S)
        return Connection(endpoint, {}, socket=self._socket, words=HolderFailures)


class AttachedEngine:
    """The holder's model. When the holder goes, the engine is lost, and the next call looks for a new holder."""

    def __init__(self, engine: HttpEngine, alive: Callable[[], bool]) -> None:
        self._engine = engine
        self._alive = alive
        self._lost = False

    @property
    def model(self) -> ModelInfo:
        """The model that is resident there."""
        return self._engine.model

    @property
    def memory(self) -> EngineMemory | None:
        """None: the memory is the holder's."""
        return None

    @property
    def waiting(self) -> int:
        """0: the line is the holder's, and its status tells it."""
        return 0

    @property
    def lost(self) -> bool:
        """Whether the holder has gone."""
        return self._lost or not self._alive()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk]:
        """Answer through the holder; see `HttpEngine.stream`.

        Raises:
            HolderGoneError: it leaves or has gone, and has not begun with this request.
        """
        try:
            async with aclosing(self._engine.stream(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except BackendUnavailableError:
            # Whatever it was: the next call looks who holds the model then.
            self._lost = True
            raise

    async def unload(self) -> None:
        """Detach; the model stays with its holder."""


def version_key(version: str) -> tuple[int, ...]:
    """Return the numbers of a version for comparison; what is no number counts as none."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


async def _finished(reply: "Reply", failures: Failures, report: ReportProgress) -> JsonObject:
    """Pass the progress of a load on until it is done, and return its result; an error in the stream is raised."""
    async with aclosing(events_of(reply, failures)) as events:
        async for event in events:
            if isinstance(event, SseComment):
                if progress := read_comment(event.text):
                    report(progress)
                continue
            value: Any = _json(event.data, failures)
            if error := read_error(value):
                raise failures.told(error)
            if "result" in as_object(value):
                return as_object(value["result"])
    raise failures.cut("")


def _json(data: str, failures: Failures) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise failures.garbage(f"no JSON but {data[:200]!r}") from error
