"""Serves the HTTP door on a TCP port, without stdio, until a signal arrives."""

# asyncio: anyio's signal receiver needs a task, whose group would wrap the errors of the server.
import asyncio
import signal
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import anyio
from starlette.routing import Route

from mcp_local_llm.doors.http.access import AccessGuard, access_rules
from mcp_local_llm.doors.http.call_ids import CallIds
from mcp_local_llm.doors.http.in_flight import InFlightAnswers
from mcp_local_llm.doors.http.listen import bind_tcp, serving
from mcp_local_llm.doors.http.routes import build_api
from mcp_local_llm.llm.llm import LLM


@dataclass(frozen=True)
class Address:
    """Where to listen: a host name or address, a port (0 is any), and what requests must bring.

    Attributes:
        key: the key that requests must send.
        allowed_hosts, allowed_origins: the settings of these names.
        any_model: the setting serve_any_model.
    """

    host: str
    port: int
    key: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    any_model: bool = False


async def serve_standing(
    llm: LLM,
    address: Address,
    announce: Callable[[str], None],
    *,
    signals: Sequence[signal.Signals],
    load: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Serve on `address` until one of the signals arrives; answers in progress get an error then.

    Args:
        llm: executes the verbs.
        address: where to listen.
        announce: takes the URL for clients once connections are taken.
        signals: end it.
        load: loads a model at once; None waits for the first call.

    Raises:
        ConfigError: the address cannot be had, or would let other machines in without a key.
        LocalLLMError: `load` failed.
    """
    in_flight = InFlightAnswers()
    with anyio.CancelScope() as scope, _on_signals(signals, in_flight, scope):
        async with serving_at(llm, address, in_flight) as url:
            announce(f"{url}/v1")
            if load is not None:
                await load()
            await in_flight.ended()


@asynccontextmanager
async def serving_at(llm: LLM, address: Address, in_flight: InFlightAnswers) -> AsyncGenerator[str]:
    """Serve on `address` for the length of the block; yields its URL without a path.

    At the end answers in progress get an error.

    Raises:
        ConfigError: the address cannot be had, or would let other machines in without a key.
    """
    rules = access_rules(address.host, address.key, hosts=address.allowed_hosts, origins=address.allowed_origins)
    listener = bind_tcp(address.host, address.port)
    api = build_api(llm, in_flight, any_model=address.any_model)
    paths = [route.path for route in api.routes if isinstance(route, Route)]
    async with serving(CallIds(AccessGuard(api, rules), paths), listener):
        try:
            yield _url(listener, address.host)
        finally:
            in_flight.end()


@contextmanager
def _on_signals(
    signals: Sequence[signal.Signals], in_flight: InFlightAnswers, scope: anyio.CancelScope
) -> Generator[None]:
    def leave() -> None:
        in_flight.end()
        scope.cancel()

    loop = asyncio.get_running_loop()
    for number in signals:
        loop.add_signal_handler(number, leave)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _url(listener: socket.socket, host: str) -> str:
    port: int = listener.getsockname()[1]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
