"""The forwarder's process, `python -m mcp_local_llm.agents.forwarder`: `launched` starts it, and it ends with that.

One line of JSON comes in on stdin (`ForwarderOrder`), one goes out on stdout: the base URL for the agent, or an error.
The end of stdin is the end of the launcher.
"""

import json
import logging
import os
import socket
import sys
from typing import Final, NoReturn

import anyio
from pydantic import ValidationError

from mcp_local_llm.agents.forwarder.forwarding import Forwarding
from mcp_local_llm.agents.forwarder.order import ForwarderOrder
from mcp_local_llm.agents.forwarder.server import serving
from mcp_local_llm.agents.forwarder.upstream import Upstream, api_upstream, local_upstream
from mcp_local_llm.values.errors import ConfigError

STDIN: Final = 0
PARENT_LOOKS_S: Final = 2.0
"""Seconds between two looks at the parent: the end of stdin tells of its end, unless something else holds the pipe."""
BACKLOG: Final = 128


def main() -> NoReturn:
    """Serve until the launcher ends."""
    # Libraries would log their troubles with a connection to the terminal, where the agent has its screen.
    logging.disable(logging.CRITICAL)
    parent = os.getppid()
    try:
        order = ForwarderOrder.model_validate_json(sys.stdin.buffer.readline())
        upstream = api_upstream(order.upstream, os.environ)
        door = local_upstream(order.door)
        listener = _listener(order.port)
    except (ConfigError, ValidationError, OSError) as error:
        _tell({"error": _reason(error)})
        os._exit(1)
    anyio.run(_serve, order, upstream, door, listener, parent)
    os._exit(0)


async def _serve(
    order: ForwarderOrder, upstream: Upstream, door: Upstream, listener: socket.socket, parent: int
) -> None:
    async with serving(Forwarding(order, upstream, door), listener):
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        sys.stderr.write(_what_goes_where(order, upstream, door, address))
        sys.stderr.flush()
        _tell({"url": f"{address}/{order.key}"})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_until_orphaned, parent)
            await _until_closed()
            # At once: what is under way was for an agent that has ended with the launcher.
            os._exit(0)


async def _until_closed() -> None:
    while True:
        await anyio.wait_readable(STDIN)
        if not os.read(STDIN, 4096):
            return


async def _until_orphaned(parent: int) -> None:
    while os.getppid() == parent:
        await anyio.sleep(PARENT_LOOKS_S)
    os._exit(0)


def _listener(port: int) -> socket.socket:
    # Only of sockets that name TCP does asyncio send small pieces at once.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def _what_goes_where(order: ForwarderOrder, upstream: Upstream, door: Upstream, address: str) -> str:
    names = ", ".join(sorted(order.models))
    api = upstream.address.origin + ("" if upstream.proxy is None else f" through the proxy {upstream.proxy.origin}")
    return (
        f"mcp-local-llm: requests for {names} stay on this machine ({door.address.origin}), without your login.\n"
        f"mcp-local-llm: all others go to {api} unchanged, by way of {address}, which keeps nothing.\n"
    )


def _tell(line: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
    return str(error)


if __name__ == "__main__":
    main()
