"""Sends the progress of a call as MCP notifications: at most four a second, and at least one in five seconds.

Every notification resets a client's timers (in Claude Code and opencode), so a load or a long prefill without news
repeats the last message.
"""

# asyncio: a plain task, which anyio has nothing for; see the reason beside it.
import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from mcp.server.mcpserver import Context

from mcp_local_llm.values.progress import PROGRESS_INTERVAL_S, PROGRESS_KEEPALIVE_S, Progress, ReportProgress


@asynccontextmanager
async def reporting(
    context: Context[Any, Any], clock: Callable[[], float] = time.monotonic
) -> AsyncGenerator[ReportProgress]:
    """Yield a function that takes steps of progress, and send them while the block runs."""
    news = asyncio.Event()
    latest: list[Progress] = []
    started = clock()

    def report(progress: Progress) -> None:
        latest[:] = [progress]
        news.set()

    async def send() -> None:
        while True:
            # Not `wait_for`: in Python 3.11 it swallows a cancellation that meets the news, and the call never ends.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROGRESS_KEEPALIVE_S):
                    await news.wait()
            news.clear()
            # Seconds since the start: the one number that grows through every phase, as the protocol demands.
            elapsed = round(clock() - started, 3)
            words = str(latest[0]) if latest else "starting"
            await context.report_progress(elapsed, message=words)
            await asyncio.sleep(PROGRESS_INTERVAL_S)

    # A plain task, not a task group: a group would wrap the tool's own errors into an exception group.
    sender = asyncio.create_task(send())
    try:
        yield report
    finally:
        sender.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sender
