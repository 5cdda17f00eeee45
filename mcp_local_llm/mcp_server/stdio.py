"""Serve over stdin and stdout until the client goes or a signal comes."""

import os
import signal
from collections.abc import Callable
from typing import Any

import anyio
from mcp.server.mcpserver import MCPServer


async def serve_stdio(server: MCPServer[Any], leave: Callable[[], None]) -> None:
    """Serve until stdin ends; on SIGINT or SIGTERM call `leave`, which must end the process.

    The SDK reads stdin on a thread that no signal wakes, so an orderly end would wait for the client to close the
    pipe (measured: over 4 s). `leave` is called at once instead.
    """
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_leave_on_signal, leave)
        await server.run_stdio_async()
        # The SDK has just put stdout back on the wire, and a library that is still loading may print.
        os.dup2(2, 1)
        tasks.cancel_scope.cancel()


async def _leave_on_signal(leave: Callable[[], None]) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            leave()
