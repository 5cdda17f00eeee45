"""Serves MCP over stdin and stdout until the client is gone or a signal arrives. It must not know tools."""

import asyncio
import os
import select
import signal
import stat
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
from mcp.server.mcpserver import MCPServer

PARENT_S = 2.0
"""Seconds between two checks of the parent process."""


async def serve_stdio(
    server: MCPServer[Any],
    leave: Callable[[], None],
    signals: Sequence[signal.Signals],
    finish: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Serve until the client is gone: stdin ends, stdout has no reader, or the parent process has died.

    The SDK reads stdin on a thread that nothing wakes, so an orderly end would wait for the client to close the pipe
    (measured: over 4 s).

    Args:
        server: the server object.
        leave: ends the process. Called on `signals`, and where the client is gone although stdin is open.
        signals: end the process at once.
        finish: awaited once the client is gone, before the end; a signal does not wait for it.
    """
    gone = anyio.Event()
    async with anyio.create_task_group() as tasks:
        # Ctrl-Z in the client's terminal stops its whole group; the other sessions wait for this process.
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        tasks.start_soon(_leave_on_signal, signals, leave)
        tasks.start_soon(_watch_parent, os.getppid(), gone)
        _watch_reader(os.dup(1), gone)

        async def end() -> None:
            await gone.wait()
            if finish is not None:
                await finish()
            leave()

        tasks.start_soon(end)
        await server.run_stdio_async()
        # The SDK has just put stdout back on the wire, and a library that is still loading may print.
        os.dup2(2, 1)
        if finish is not None:
            await finish()
        tasks.cancel_scope.cancel()


async def _leave_on_signal(signals: Sequence[signal.Signals], leave: Callable[[], None]) -> None:
    with anyio.open_signal_receiver(*signals) as received:
        async for _ in received:
            leave()


async def _watch_parent(parent: int, gone: anyio.Event) -> None:
    """Set `gone` when the parent has died; a child of it may keep the pipes open, so that stdin never ends."""
    while os.getppid() == parent:
        await anyio.sleep(PARENT_S)
    gone.set()


def _watch_reader(wire: int, gone: anyio.Event) -> None:
    """Set `gone` when the other end of the pipe or socket `wire` is closed, though stdin may still be open."""
    # asyncio: anyio can wait until a descriptor is readable, but a closed pipe is no reading to it.
    loop = asyncio.get_running_loop()

    def look() -> None:
        # Once: a socket is readable too when it is only half closed, or when stdin is the same one.
        loop.remove_reader(wire)
        poll = select.poll()
        poll.register(wire, 0)
        if any(flags & (select.POLLERR | select.POLLHUP) for _, flags in poll.poll(0)):
            gone.set()

    mode = os.fstat(wire).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        loop.add_reader(wire, look)
