"""Asking an endpoint through the engine, as the tests of this folder do."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import anyio

from mcp_local_llm.engines.http import EndpointLoader
from mcp_local_llm.values.chat import ChatChunk, ChatRequest, ChatResult, Message
from mcp_local_llm.values.endpoint import Endpoint, FlavorName
from mcp_local_llm.values.engine import Engine
from mcp_local_llm.values.model import endpoint_model
from tests.clients import WAIT_S
from tests.engines.http.fake_server import FakeServer, Script, fake_server

HELLO = ChatRequest((Message(role="user", content="Hello"),))


def endpoint(
    url: str, flavor: FlavorName = "auto", api_key_env: str | None = None, api_key_file: Path | None = None
) -> Endpoint:
    """An endpoint called `box`."""
    return Endpoint(name="box", url=url, flavor=flavor, api_key_env=api_key_env, api_key_file=api_key_file)


@asynccontextmanager
async def engine_for(
    script: Script,
    flavor: FlavorName = "auto",
    *,
    api_key_env: str | None = None,
    api_key_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> AsyncGenerator[tuple[Engine, FakeServer]]:
    """The engine of model `m` on a scripted server; everything in it ends within a bounded time."""
    with anyio.fail_after(WAIT_S):
        async with fake_server(script) as server:
            model = endpoint_model(endpoint(server.url, flavor, api_key_env, api_key_file), "m")
            yield await EndpointLoader(environ or {}).load(model, lambda _: None), server


async def chunks_of(engine: Engine, request: ChatRequest = HELLO) -> list[ChatChunk]:
    """Every chunk of an answer."""
    async with aclosing(engine.stream(request)) as chunks:
        return [chunk async for chunk in chunks]


async def answer_of(engine: Engine, request: ChatRequest = HELLO) -> ChatResult:
    """The result of an answer."""
    result = (await chunks_of(engine, request))[-1].result
    assert result is not None
    return result


async def asked(script: Script, request: ChatRequest = HELLO, flavor: FlavorName = "auto") -> ChatResult:
    """The result of one question to a scripted server."""
    async with engine_for(script, flavor) as (engine, _):
        return await answer_of(engine, request)
