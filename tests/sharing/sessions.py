"""Several sessions of one user: real server processes in one private home, and what they tell of each other."""

import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import psutil

from mcp_local_llm import __version__
from mcp_local_llm.llm.remote import Remote
from mcp_local_llm.residency import Lease
from tests.clients import POLL_S, WAIT_S
from tests.wire import Wire, open_wire

ENDLESS = {"message": "Repeat the word la forever.", "thinking": False, "max_tokens": 3900}
"""A question whose answer takes the built-in model many seconds."""
GREETING = "Hello! How can I help you today?"

SMALL, LARGE = "mlx-community/Qwen2.5-Coder-7B-Instruct-4bit", "mlx-community/Qwen2.5-Coder-32B-Instruct-4bit"

Json = dict[str, Any]


@asynccontextmanager
async def sessions(environ: dict[str, str], count: int) -> AsyncGenerator[list[Wire]]:
    """So many sessions, each with a server of its own."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_wire(environ)) for _ in range(count)]


def runtime(environ: dict[str, str]) -> Path:
    """The folder of lock and socket."""
    return Path(environ["XDG_RUNTIME_DIR"]) / "mcp-local-llm"


def remove_runtime(environ: dict[str, str]) -> None:
    """Remove what a test left there; a folder of pytest's own goes with the others."""
    shutil.rmtree(environ["XDG_RUNTIME_DIR"], ignore_errors=True)


def holder_of(environ: dict[str, str]) -> int | None:
    """The process that holds the model now."""
    lease = Lease(runtime(environ))
    owner = lease.owner() if lease.elsewhere() else None
    return owner.pid if owner else None


def imported_mlx(pid: int) -> bool:
    """Whether a process has loaded MLX's native library."""
    return any("libmlx" in Path(mapped.path).name for mapped in psutil.Process(pid).memory_maps())


def resident_megabytes(pid: int) -> float:
    """The resident set size of a process, in 10^6 bytes."""
    return psutil.Process(pid).memory_info().rss / 1e6


async def ask(session: Wire, message: str = "Hello", **arguments: Any) -> str:
    """The text of an answer."""
    return await session.text(await session.call("chat", message=message, **arguments))


async def begin(session: Wire, **arguments: Any) -> int:
    """Start an answer that goes on, and wait until it does; returns the request."""
    request = await session.call("chat", **{**ENDLESS, **arguments})
    count = 1
    while not any("tokens" in words for words in await session.progress(request, count)):
        assert not session.answers(request), session.answers(request)
        count += 1
    return request


async def report(session: Wire, tool: str, **arguments: Any) -> Json:
    """The structured answer of a tool."""
    result = (await session.answer(await session.call(tool, **arguments)))["result"]
    assert not result.get("isError"), result
    return result["structuredContent"]


async def failure(session: Wire, request: int) -> str:
    """The words of a call that fails."""
    result = (await session.answer(request))["result"]
    assert result["isError"], result
    return result["content"][0]["text"]


def remote(environ: dict[str, str]) -> Remote:
    """The process that holds the lease, as another session of this version asks it."""
    lease = Lease(runtime(environ))
    return Remote(lease.socket, __version__, lease.owner)


async def control(environ: dict[str, str]) -> Json:
    """What the holder tells over its socket: its number, the answers it is at or has in line, and its status."""
    status = await remote(environ).status()
    answers = status.calls_running + status.waiting
    return {"pid": status.holder_pid, "answers": answers, "status": status.model_dump()}


async def loads(environ: dict[str, str]) -> int:
    """How often the holder has loaded a model."""
    return (await remote(environ).counters()).loads


async def until(environ: dict[str, str], holds: Callable[[Json], bool], within: float = WAIT_S) -> Json:
    """Ask the holder how it stands until it is as wanted."""
    with anyio.fail_after(within):
        while not holds(told := await control(environ)):
            await anyio.sleep(POLL_S)
    return told
