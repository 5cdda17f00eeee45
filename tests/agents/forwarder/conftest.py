"""A forwarder between two servers, shared by a module's tests."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

import pytest

from tests.agents.forwarder.rig import Caller, ShownServer, calling, forwarding, hello, server
from tests.clients import private_environ


@dataclass(frozen=True)
class Between:
    """A forwarder and its two servers."""

    url: str
    upstream: ShownServer
    door: ShownServer


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Between]:
    environ = private_environ(tmp_path_factory.mktemp("home"))
    async with server(hello) as upstream, server(hello) as door, forwarding(environ, upstream.url, door.url) as url:
        yield Between(url, upstream, door)


@pytest.fixture
def between(shared: Between) -> Between:
    """The same, with servers that answer as they do by themselves; a test may set how else they do."""
    shared.upstream.answer = shared.door.answer = hello
    return shared


@pytest.fixture
async def caller(between: Between) -> AsyncGenerator[Caller]:
    async with calling(between.url) as caller:
        yield caller
