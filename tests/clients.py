"""MCP clients as tests use them: a real process behind real pipes."""

import os
import sys
import zlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from mcp import Client, StdioServerParameters

WAIT_S = 60.0
POLL_S = 0.01
"""Between two looks at a state that a test waits for: whoever looks without a pause holds up what it waits for."""
"""Longest wait for anything in a test; a shared machine can be slow, a hang must still end."""

MAX_RUNTIME_PATH = 70
"""Longest runtime folder in characters: the path of a Unix socket in it must stay below 104."""


def private_environ(home: Path) -> dict[str, str]:
    """The environment of a process whose home is private and whose hub is out of reach."""
    coverage = {key: value for key, value in os.environ.items() if key.startswith("COVERAGE_")}
    runtime = home / "run"
    if len(str(runtime)) > MAX_RUNTIME_PATH:
        runtime = Path("/tmp", f"mcp-local-llm-test-{zlib.crc32(bytes(home)):08x}")
    private = {"HOME": str(home), "XDG_RUNTIME_DIR": str(runtime), "HF_HUB_OFFLINE": "1"}
    return {**private, "PATH": os.environ["PATH"], **coverage}


@asynccontextmanager
async def stdio_client(environ: dict[str, str], era: str = "auto") -> AsyncGenerator[Client]:
    """A client of a real server process; every call has `WAIT_S` for its answer."""
    parameters = StdioServerParameters(command=sys.executable, args=["-m", "mcp_local_llm"], env=environ)
    async with Client(parameters, mode=era, read_timeout_seconds=WAIT_S) as client:
        yield client
