"""The composed application in a test's own process: opened, and closed with its threads and servers."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

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
    """Applications that a test composes one after the other; all end with it."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    async def open(self, environ: Mapping[str, str], home: Path) -> App:
        """Compose one more."""
        return await self._stack.enter_async_context(opened(environ, home))
