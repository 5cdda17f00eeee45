"""The four ways to the door: in memory and over real pipes, each in both protocol eras.

A module's tests share one server for each way; tests that change its state make their own with `open_door`.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from mcp import Client

from mcp_local_llm.doors.mcp import build_server
from tests.apps import opened
from tests.clients import WAIT_S, private_environ, stdio_client

WAYS = [
    pytest.param("memory-auto", marks=pytest.mark.sweep),
    "memory-legacy",
    "stdio-auto",
    pytest.param("stdio-legacy", marks=pytest.mark.sweep),
]
"""The older handshake runs over real pipes in `tests/process` as well."""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def open_door(way: str, environ: dict[str, str]) -> AsyncGenerator[Client]:
    """A client of a new server, in this process or in one of its own."""
    place, era = way.split("-")
    if place == "stdio":
        async with stdio_client(environ, era) as client:
            yield client
        return
    async with opened(environ, Path(environ["HOME"])) as app:
        server = build_server(app.llm, app.delegation)
        async with Client(server, mode=era, read_timeout_seconds=WAIT_S) as client:
            yield client


@pytest.fixture(scope="module", params=WAYS)
async def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Client]:
    """A client that the tests of a module share; nothing is resident at first."""
    home = tmp_path_factory.mktemp("home")
    async with open_door(request.param, private_environ(home)) as opened:
        yield opened


@pytest.fixture(params=WAYS)
def door(request: pytest.FixtureRequest, environ: dict[str, str]) -> Callable[[], AbstractAsyncContextManager[Client]]:
    """Opens a server of the test's own, with the home that the test has prepared."""
    return partial(open_door, request.param, environ)
