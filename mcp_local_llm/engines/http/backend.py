"""Turns a model of an endpoint into an engine: nothing is loaded here, and nothing is held."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import anyio

from mcp_local_llm.engines.http.engine import LOADING_POLL_S, HttpEngine
from mcp_local_llm.engines.http.failures import loading
from mcp_local_llm.values.endpoint import Endpoint
from mcp_local_llm.values.engine import Progress, ReportProgress
from mcp_local_llm.values.errors import ModelLoadError
from mcp_local_llm.values.model import ModelInfo

if TYPE_CHECKING:
    from mcp_local_llm.engines.http.connection import Connection

PROBE_TIMEOUT_S = 10.0
"""Seconds that a server may take to say that it is there."""


class HttpBackend:
    """Reaches the endpoints of the settings; their keys are read from `environ` when a request is sent."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._environ = environ
        self._clock = clock
        self._sleep = sleep
        self._reached: dict[str, HttpEngine] = {}

    async def load(self, model: ModelInfo, report: ReportProgress) -> HttpEngine:
        """Return the engine of an endpoint's model; the first time the server must be there and have loaded.

        Raises:
            BackendUnavailableError, ConfigError, BackendProtocolError: the server does not answer, or refuses us.
            ModelLoadError: the model is not an endpoint's.
        """
        if model.endpoint is None:
            raise ModelLoadError(f"{model.id} is no model of an endpoint.")
        known = self._reached.get(model.id)
        if known is not None and known.model.endpoint == model.endpoint:
            return known
        connection = _connect(model.endpoint, self._environ)
        await self._reach(connection, report)
        engine = HttpEngine(model, connection, clock=self._clock, sleep=self._sleep)
        self._reached[model.id] = engine
        return engine

    def fault(self) -> str | None:
        """Return None: nothing of it hangs in this process."""
        return None

    def close(self) -> None:
        """Do nothing: nothing runs between calls."""

    async def _reach(self, connection: "Connection", report: ReportProgress) -> None:
        """Ask for the list of models; any answer but a refusal shows that the server is there."""
        failures = connection.failures()
        report(Progress("loading"))
        while True:
            async with connection.get("/models", PROBE_TIMEOUT_S, failures) as reply:
                body = await reply.body()
                if reply.status in (401, 403) or 300 <= reply.status < 400:
                    raise failures.status(reply.status, body, reply.headers)
                if not loading(reply.status, body):
                    return
            report(Progress("loading"))
            await self._sleep(LOADING_POLL_S)


def _connect(endpoint: Endpoint, environ: Mapping[str, str]) -> "Connection":
    # Here and not above: importing httpx costs a tenth of a second, which only a user of endpoints should spend.
    from mcp_local_llm.engines.http.connection import Connection

    return Connection(endpoint, environ)
