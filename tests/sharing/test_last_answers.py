"""A holder that leaves: what other sessions have begun is finished, and its last line arrives."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from tests.clients import POLL_S, WAIT_S
from tests.engines.http.fake_server import Exchange, counts, delta, fake_server
from tests.engines.http.test_over_mcp import configure
from tests.sharing.sessions import GREETING, ask, holder_of, runtime, sessions


class SlowServer:
    """An endpoint that answers a request for the model `slow` when the test says so; `failing` fails."""

    def __init__(self) -> None:
        self.asked = {name: asyncio.Event() for name in ("slow", "quick", "failing")}
        self.go_on = {name: asyncio.Event() for name in ("slow", "quick", "failing")}

    async def answer(self, exchange: Exchange) -> None:
        name = exchange.received.body["model"]
        self.asked[name].set()
        await self.go_on[name].wait()
        if name == "failing":
            await exchange.json(500, {"error": {"message": "It broke."}})
        else:
            await exchange.stream(delta(content="At last", finish="stop", model=name), counts())


@pytest.fixture
async def server(home: Path) -> AsyncGenerator[SlowServer]:
    slow = SlowServer()
    async with fake_server(slow.answer, list(slow.asked)) as served:
        configure(home, served.url)
        settings = home / ".config" / "mcp-local-llm" / "config.toml"
        settings.write_text(settings.read_text().replace('["m"]', '["slow", "quick", "failing"]'))
        yield slow


@pytest.mark.parametrize("ways", ["its client closes stdin", "its client vanishes"])
async def test_a_holder_whose_client_is_gone_sends_the_last_line_of_what_it_finishes(
    environ: dict[str, str], server: SlowServer, ways: str
) -> None:
    async with sessions(environ, 2) as (holder, other):
        server.go_on["quick"].set()
        assert await ask(holder, model="box/quick") == "At last"
        request = await other.call("chat", message="Hello", model="box/slow")
        await server.asked["slow"].wait()
        await (holder.close_stdin() if "stdin" in ways else holder.vanish())
        server.go_on["slow"].set()
        assert await other.text(request) == "At last"
        assert await holder.ended() == 0


async def test_a_session_that_was_greeted_before_the_holder_leaves_is_told_to_ask_again(
    environ: dict[str, str],
) -> None:
    path = str(runtime(environ) / "holder.sock")

    def listens() -> bool:
        with socket.socket(socket.AF_UNIX) as another:
            return another.connect_ex(path) == 0

    async with sessions(environ, 1) as (holder,):
        assert await ask(holder) == GREETING
        with socket.socket(socket.AF_UNIX) as late:
            late.settimeout(WAIT_S)
            late.connect(path)
            with late.makefile("rb") as lines:
                assert json.loads(await anyio.to_thread.run_sync(lines.readline))["pid"] == holder.process.pid
                await holder.close_stdin()
                with anyio.fail_after(WAIT_S):
                    while listens():
                        await anyio.sleep(POLL_S)
                late.sendall(b'{"verb": "unload", "arguments": {"force": false}}\n')
                told = json.loads(await anyio.to_thread.run_sync(lines.readline))
        assert told["error"]["name"] == "HolderGoneError"
        assert await holder.ended() == 0


@asynccontextmanager
async def command(environ: dict[str, str], *arguments: str) -> AsyncGenerator[anyio.abc.Process]:
    program = [sys.executable, "-m", "mcp_local_llm", *arguments]
    started = await anyio.open_process(program, env=environ, stdin=subprocess.DEVNULL)
    async with started:
        yield started


@pytest.mark.parametrize(("name", "code"), [("quick", 0), ("failing", 1)])
async def test_a_command_that_holds_no_model_finishes_what_others_have_begun_with_an_endpoint(
    environ: dict[str, str], server: SlowServer, name: str, code: int
) -> None:
    with anyio.fail_after(WAIT_S):
        async with sessions(environ, 1) as (other,), command(environ, "chat", "-m", f"box/{name}", "Hello") as asking:
            await server.asked[name].wait()
            assert holder_of(environ) == asking.pid
            request = await other.call("chat", message="Hello", model="box/slow")
            await server.asked["slow"].wait()
            server.go_on[name].set()
            # Its own answer is there, and it stays for the other one.
            with anyio.move_on_after(20 * POLL_S):
                await asking.wait()
            assert asking.returncode is None
            server.go_on["slow"].set()
            assert await other.text(request) == "At last"
            assert await asking.wait() == code
