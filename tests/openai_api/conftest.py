"""The HTTP door around the built-in model, on a real port and a real Unix socket of this process."""

from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from openai import AsyncOpenAI

from mcp_local_llm.app import App, compose
from mcp_local_llm.openai_api import Guard, Traffic, access_rules, bind_tcp, bind_unix, build_api, serving
from tests.clients import WAIT_S, private_environ
from tests.openai_api.door import Door


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def open_door(app: App, folder: Path, key: str | None = None) -> AsyncGenerator[Door]:
    """Serve `app` on both kinds of socket, to the end of the block."""
    traffic = Traffic()
    api = build_api(app.llm, traffic)
    tcp, socket = bind_tcp("127.0.0.1", 0), folder / "run" / "holder.sock"
    unix = bind_unix(socket)
    url = f"http://127.0.0.1:{tcp.getsockname()[1]}"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(Guard(api, access_rules("127.0.0.1", key)), tcp))
        await stack.enter_async_context(serving(api, unix))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=WAIT_S))
        yield Door(app, traffic, url, socket, http)


@pytest.fixture(scope="module")
def shared_app(tmp_path_factory: pytest.TempPathFactory) -> Generator[App]:
    """One application for a module's tests."""
    home = tmp_path_factory.mktemp("home")
    app = compose(private_environ(home), home)
    yield app
    app.backend.close()
    assert app.backend.join(WAIT_S), "the MLX thread did not end"


@pytest.fixture(scope="module")
async def door(shared_app: App, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Door]:
    """One door for a module's tests."""
    async with open_door(shared_app, tmp_path_factory.mktemp("door")) as opened:
        yield opened


@pytest.fixture(scope="module")
async def client(door: Door) -> AsyncGenerator[AsyncOpenAI]:
    """OpenAI's own client; it repeats nothing, so that a test sees every failure."""
    async with AsyncOpenAI(base_url=f"{door.url}/v1", api_key="none", max_retries=0, timeout=WAIT_S) as opened:
        yield opened
