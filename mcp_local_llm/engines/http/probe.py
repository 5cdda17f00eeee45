"""Finds servers: the endpoints of the settings, and known servers on the ports of this machine.

It chooses and changes nothing; ports are probed on 127.0.0.1 only, without a key, with GET.
"""

from collections.abc import Iterable, Mapping

import anyio

from mcp_local_llm.engines.http.endpoint_models import ask_for_models
from mcp_local_llm.values.endpoint import DetectedServer, Endpoint, FlavorName
from mcp_local_llm.values.errors import LocalLLMError
from mcp_local_llm.wire.flavors import ProbeResponse, named_flavor, probe_matches, probes_for
from mcp_local_llm.wire.openai.read_response import read_models

ANSWER_TIMEOUT_S = 1.0
"""Seconds that one request may take; the server is on this machine."""
PORT_TIMEOUT_S = 3.0
"""Seconds for all requests to one port."""
ENDPOINT_TIMEOUT_S = 3.0
"""Seconds that an endpoint of the settings may take to list its models."""


async def look_at_ports(ports: Iterable[int]) -> tuple[DetectedServer, ...]:
    """Return the OpenAI-compatible servers that answer on these ports of 127.0.0.1; probes all at once."""
    found: dict[int, DetectedServer] = {}

    async def look(port: int) -> None:
        with anyio.move_on_after(PORT_TIMEOUT_S):
            sighting = await _probe_port(port)
            if sighting is not None:
                found[port] = sighting

    wanted = tuple(dict.fromkeys(ports))
    async with anyio.create_task_group() as group:
        for port in wanted:
            group.start_soon(look, port)
    return tuple(found[port] for port in wanted if port in found)


async def list_endpoint(endpoint: Endpoint, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of an endpoint's models; the request carries its key.

    Raises:
        BackendUnavailableError: it does not answer, or not in time.
        LocalLLMError: it refuses, or answers something else.
    """
    return tuple(model.name for model in await ask_for_models(endpoint, environ, ENDPOINT_TIMEOUT_S))


async def _probe_port(port: int) -> DetectedServer | None:
    answer = await _get(port, "/v1/models")
    if answer is None:
        return None
    flavor = named_flavor(answer)
    locked = answer.status in (401, 403)
    models = _models(answer)
    if flavor is None and models is None and not locked:
        return None
    return DetectedServer(port, flavor or await _probed_flavor(port), models or (), locked)


async def _probed_flavor(port: int) -> FlavorName | None:
    for probe in probes_for(port):
        answer = await _get(port, probe.path)
        if answer is not None and probe_matches(probe, answer):
            return probe.flavor
    return None


def _models(answer: ProbeResponse) -> tuple[str, ...] | None:
    if answer.status != 200:
        return None
    try:
        return tuple(model.name for model in read_models(answer.value()))
    except ValueError:
        return None


async def _get(port: int, path: str) -> ProbeResponse | None:
    # Here and not above: see `ask_for_models`.
    from mcp_local_llm.engines.http.connection import Connection

    connection = Connection(Endpoint(name="port", url=f"http://127.0.0.1:{port}"), {})
    try:
        response, body = await connection.get(path, ANSWER_TIMEOUT_S, connection.errors())
    except LocalLLMError:
        return None  # No server listens there, or it does not speak HTTP.
    return ProbeResponse(response.status, response.headers.get("server", ""), body)
