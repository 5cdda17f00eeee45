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

CLIENT_S = 2.0
"""Seconds between two checks of the client."""
DEAF_CHECKS = 5
"""Checks in a row that find stdin ended and stdout full, after which the client counts as gone."""
HELD_CHECKS = 2
"""The same with room in stdout: then a thread that waits, as for a disk, keeps the SDK from its end."""


async def serve_stdio(
    server: MCPServer[Any],
    leave: Callable[[], None],
    signals: Sequence[signal.Signals],
    client: int,
    finish: Callable[[], Awaitable[None]],
) -> None:
    """Serve until the client is gone: stdin ends, stdout has no reader, or the parent process has died.

    The SDK reads stdin on a thread that nothing wakes, so an orderly end would wait for the client to close the pipe
    (measured: over 4 s).

    Args:
        server: the server object.
        leave: ends the process. Called on `signals`, and where the client is gone although stdin is open, or reads
            nothing although stdin has ended.
        signals: end the process at once.
        client: id of the parent process when this one started.
        finish: awaited once the client is gone, before the end; a signal does not wait for it.
    """
    gone = anyio.Event()
    async with anyio.create_task_group() as tasks:
        # Ctrl-Z in the client's terminal stops its whole group, and a terminal with `tostop` a background job that
        # writes to it; the other sessions wait for this process.
        for stop in (signal.SIGTSTP, signal.SIGTTOU):
            signal.signal(stop, signal.SIG_IGN)
        tasks.start_soon(_leave_on_signal, signals, leave)
        tasks.start_soon(_watch_client, client, os.dup(0), os.dup(1), gone)
        _watch_reader(os.dup(1), gone)

        async def end() -> None:
            await gone.wait()
            await finish()
            leave()

        tasks.start_soon(end)
        await server.run_stdio_async()
        # The SDK has just put stdout back on the wire, and a library that is still loading may print.
        os.dup2(2, 1)
        await finish()
        tasks.cancel_scope.cancel()


async def _leave_on_signal(signals: Sequence[signal.Signals], leave: Callable[[], None]) -> None:
    with anyio.open_signal_receiver(*signals) as received:
        async for _ in received:
            leave()


async def _watch_client(parent: int, stdin: int, stdout: int, gone: anyio.Event) -> None:
    """Set `gone` when the parent has died, or when the client has closed stdin and something keeps this process.

    A child of a dead parent may keep the pipes open, so that stdin never ends. An answer that nobody reads keeps the
    SDK from the end of stdin, or its thread from ending; so does a call whose thread waits for ever.
    """
    deaf = held = 0
    while os.getppid() == parent and deaf < DEAF_CHECKS and held < HELD_CHECKS:
        await anyio.sleep(CLIENT_S)
        ended = bool(_ready(stdin, 0) & (select.POLLHUP | getattr(select, "POLLRDHUP", 0)))
        room = bool(_ready(stdout, select.POLLOUT) & select.POLLOUT)
        deaf, held = (deaf + 1 if ended and not room else 0), (held + 1 if ended and room else 0)
    gone.set()


def _ready(handle: int, events: int) -> int:
    """Return which of the events, and which ends, a descriptor has now."""
    poll = select.poll()
    poll.register(handle, events | getattr(select, "POLLRDHUP", 0))
    return next((flags for _, flags in poll.poll(0)), 0)


def _watch_reader(wire: int, gone: anyio.Event) -> None:
    """Set `gone` when the other end of the pipe or socket `wire` is closed, though stdin may still be open."""
    # asyncio: anyio can wait until a descriptor is readable, but a closed pipe is no reading to it.
    loop = asyncio.get_running_loop()

    def look() -> None:
        # Once: a socket is readable too when it is only half closed, or when stdin is the same one.
        loop.remove_reader(wire)
        if _ready(wire, 0) & (select.POLLERR | select.POLLHUP):
            gone.set()

    mode = os.fstat(wire).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        loop.add_reader(wire, look)
