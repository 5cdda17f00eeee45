"""Lists the models of all endpoints: from the settings, or from the server's own list."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import anyio

from mcp_local_llm.values.endpoint import Endpoint
from mcp_local_llm.values.errors import LocalLLMError
from mcp_local_llm.values.model import FoundModels, endpoint_model
from mcp_local_llm.wire.openai.read_response import MAX_MODELS, ServedModel, read_models

LIST_TIMEOUT_S = 2.0
"""Seconds that a server may take to list its models; a list of all models waits for the slowest."""
KEEP_S = 30.0
KEEP_FAILURE_S = 5.0
"""Seconds for which a list, or a failure, is kept: every choice of a model reads the list."""


@dataclass(frozen=True)
class _CachedModels:
    """The models of one endpoint, and when they must be listed again."""

    found: FoundModels
    until: float


class EndpointModels:
    """Lists the models of the endpoints; an endpoint that does not answer is a warning."""

    def __init__(self, endpoints: Sequence[Endpoint], environ: Mapping[str, str]) -> None:
        self._endpoints = endpoints
        self._environ = environ
        self._known: dict[str, _CachedModels] = {}

    async def __call__(self) -> FoundModels:
        """Return all models, and a warning for each endpoint that failed; requests all lists at once."""
        async with anyio.create_task_group() as group:
            for endpoint in self._endpoints:
                known = self._known.get(endpoint.name)
                if known is None or known.until <= time.monotonic():
                    group.start_soon(self._refresh, endpoint)
        parts = [self._known[endpoint.name].found for endpoint in self._endpoints]
        return FoundModels(
            tuple(model for part in parts for model in part.models),
            tuple(warning for part in parts for warning in part.warnings),
        )

    async def _refresh(self, endpoint: Endpoint) -> None:
        if endpoint.models:
            found = FoundModels(tuple(endpoint_model(endpoint, name) for name in endpoint.models))
        else:
            found = await self._list_models(endpoint)
        keep_s = KEEP_FAILURE_S if found.warnings else KEEP_S
        self._known[endpoint.name] = _CachedModels(found, time.monotonic() + keep_s)

    async def _list_models(self, endpoint: Endpoint) -> FoundModels:
        try:
            served = await ask_for_models(endpoint, self._environ, LIST_TIMEOUT_S)
            models = tuple(endpoint_model(endpoint, model.name, model.context_length) for model in served)
            cut = f"Of {endpoint.name}, the first {MAX_MODELS:,} models are listed; any other has its full id."
            return FoundModels(models, (cut,) if len(models) == MAX_MODELS else ())
        except LocalLLMError as error:
            return FoundModels((), (f"The models of {endpoint.name} are not listed. {error}",))


async def ask_for_models(endpoint: Endpoint, environ: Mapping[str, str], timeout_s: float) -> tuple[ServedModel, ...]:
    """Ask an endpoint for its models, with its key, for at most `timeout_s` seconds.

    Raises:
        BackendUnavailableError: it does not answer, or not in time.
        LocalLLMError: it refuses, or answers something else.
    """
    # Here and not above: importing httpx costs a tenth of a second, which only a user of endpoints should spend.
    from mcp_local_llm.engines.http.connection import Connection

    connection = Connection(endpoint, environ)
    errors = connection.errors()
    response, body = await connection.get("/models", timeout_s, errors)
    if response.status != 200:
        raise errors.status(response.status, body, response.headers)
    try:
        return read_models(json.loads(body))
    except (ValueError, RecursionError) as error:
        raise errors.garbage("no list of models") from error
