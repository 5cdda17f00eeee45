"""The HTTP door around the built-in model, on a real port of this process."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from openai import AsyncOpenAI

from mcp_local_llm.app import App
from mcp_local_llm.doors.http import (
    AccessGuard,
    AccessRules,
    InFlightAnswers,
    access_rules,
    bind_tcp,
    build_api,
    serving,
)
from tests.apps import opened
from tests.clients import WAIT_S, private_environ
from tests.doors.http.door import Door


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def open_door(app: App, rules: AccessRules | None = None, *, any_model: bool = False) -> AsyncGenerator[Door]:
    """Serve `app` to the end of the block, without a key unless `rules` say so."""
    in_flight = InFlightAnswers()
    api = build_api(app.llm, in_flight, any_model=any_model)
    tcp = bind_tcp("127.0.0.1", 0)
    url = f"http://127.0.0.1:{tcp.getsockname()[1]}"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(AccessGuard(api, rules or access_rules("127.0.0.1", None)), tcp))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=WAIT_S))
        yield Door(app, in_flight, url, http)


@pytest.fixture(scope="module")
async def shared_app(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[App]:
    """One application for a module's tests."""
    home = tmp_path_factory.mktemp("home")
    async with opened(private_environ(home), home) as app:
        yield app


@pytest.fixture(scope="module")
async def door(shared_app: App) -> AsyncGenerator[Door]:
    """One door for a module's tests."""
    async with open_door(shared_app) as door:
        yield door


@pytest.fixture(scope="module")
async def client(door: Door) -> AsyncGenerator[AsyncOpenAI]:
    """OpenAI's own client; it repeats nothing, so that a test sees every failure."""
    async with AsyncOpenAI(base_url=f"{door.url}/v1", api_key="none", max_retries=0, timeout=WAIT_S) as client:
        yield client
