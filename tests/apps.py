"""The composed application in a test's own process: opened, and closed with its threads and servers."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import anyio
from anyio.abc import TaskGroup, TaskStatus

from mcp_local_llm.app import App, compose
from tests.clients import WAIT_S


@asynccontextmanager
async def opened(environ: Mapping[str, str], home: Path) -> AsyncGenerator[App]:
    """Compose the application and enter its session; its MLX thread and its servers end with the block."""
    app = compose(environ, home)
    try:
        async with app.llm:
            yield app
    finally:
        close(app)


def close(app: App) -> None:
    """Stop the engines of an application; a thread or a server that does not end fails the test."""
    assert app.engines.close(WAIT_S), "the MLX thread did not end"
    if app.engines.servers is not None:
        assert app.engines.servers.join(WAIT_S), "a server did not end"


class Apps:
    """Applications that a test composes one after the other; all end with it.

    Each lives in a task of its own, so that a test may open one inside a cancel scope that ends before it.
    """

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._end = anyio.Event()

    def end(self) -> None:
        """Let all of them end."""
        self._end.set()

    async def open(self, environ: Mapping[str, str], home: Path) -> App:
        """Compose one more."""

        async def keep(*, task_status: TaskStatus[App]) -> None:
            async with opened(environ, home) as app:
                task_status.started(app)
                await self._end.wait()

        return cast(App, await self._tasks.start(keep))


@asynccontextmanager
async def many() -> AsyncGenerator[Apps]:
    """Applications that end with the block."""
    async with anyio.create_task_group() as tasks:
        apps = Apps(tasks)
        yield apps
        apps.end()
