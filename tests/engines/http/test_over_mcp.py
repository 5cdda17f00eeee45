"""An endpoint behind the tools: a real MCP client, a real server process, a scripted server behind it."""

import asyncio
from pathlib import Path

import anyio
from mcp_types import TextContent

from tests.clients import WAIT_S, stdio_client
from tests.engines.http.fake_server import Exchange, counts, delta, fake_server, says


def configure(home: Path, url: str) -> None:
    path = home / ".config" / "mcp-local-llm" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(f'[[endpoints]]\nname = "box"\nurl = "{url}"\nmodels = ["m"]\n')


async def test_an_endpoint_s_model_is_listed_chosen_and_asked(environ: dict[str, str], home: Path, era: str) -> None:
    script = says(delta(reasoning="Hm."), delta(content="Hi from afar"), delta(finish="stop"), counts(7, 2))
    with anyio.fail_after(WAIT_S):
        async with fake_server(script) as server:
            configure(home, server.url)
            async with stdio_client(environ, era) as client:
                table = (await client.call_tool("list_models")).structured_content
                assert table is not None
                row = table["models"][0]
                assert (row["name"], row["fit"], row["size_bytes"]) == ("box/m", "on box", None)
                switch = await client.call_tool("set_model", {"name": "box/m"})
                assert isinstance(switch.content[0], TextContent)
                assert switch.content[0].text.startswith(f"box/m is the choice; calls go to {server.url}.")
                answer = await client.call_tool("chat", {"message": "Hello"})
                assert isinstance(answer.content[0], TextContent)
                assert answer.content[0].text == "Hi from afar"
                assert answer.meta is not None
                assert answer.meta["local-llm/result"]["model"] == "box/m"
                assert answer.meta["local-llm/result"]["usage"]["completion_tokens"] == 2


async def test_cancelling_a_call_closes_the_connection_to_the_server(environ: dict[str, str], home: Path) -> None:
    begun, closed = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        begun.set()
        await exchange.gone()
        closed.set()

    with anyio.fail_after(WAIT_S):
        async with fake_server(script) as server:
            configure(home, server.url)
            async with stdio_client(environ) as client, anyio.create_task_group() as tasks:
                tasks.start_soon(client.call_tool, "chat", {"message": "Hello", "model": "box/m"})
                await begun.wait()
                tasks.cancel_scope.cancel()
            await closed.wait()
