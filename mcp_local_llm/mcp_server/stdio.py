"""Serve over stdin and stdout until the client goes or a signal comes."""

import asyncio
import os
import select
import signal
import stat
from collections.abc import Callable
from typing import Any

import anyio
from mcp.server.mcpserver import MCPServer


async def serve_stdio(server: MCPServer[Any], leave: Callable[[], None]) -> None:
    """Serve until stdin ends; on SIGINT or SIGTERM, or when nobody reads stdout any more, call `leave`.

    `leave` must end the process. The SDK reads stdin on a thread that nothing wakes, so an orderly end would wait for
    the client to close the pipe (measured: over 4 s).
    """
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_leave_on_signal, leave)
        _leave_unheard(os.dup(1), leave)
        await server.run_stdio_async()
        # The SDK has just put stdout back on the wire, and a library that is still loading may print.
        os.dup2(2, 1)
        tasks.cancel_scope.cancel()


async def _leave_on_signal(leave: Callable[[], None]) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            leave()


def _leave_unheard(wire: int, leave: Callable[[], None]) -> None:
    """Call `leave` when the other end of the pipe or socket `wire` is closed, though stdin may still be open."""
    loop = asyncio.get_running_loop()

    def look() -> None:
        # Once: a socket is readable too when it is only half closed, or when stdin is the same one.
        loop.remove_reader(wire)
        poll = select.poll()
        poll.register(wire, 0)
        if any(flags & (select.POLLERR | select.POLLHUP) for _, flags in poll.poll(0)):
            leave()

    mode = os.fstat(wire).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        loop.add_reader(wire, look)
