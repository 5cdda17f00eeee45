"""Starts the forwarder's process and ends it: all that the launcher knows of the rest."""

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress

import anyio

from mcp_local_llm.agents.forwarder.order import ForwarderOrder
from mcp_local_llm.values.errors import ConfigError

START_TIMEOUT_S = 60.0
"""Seconds; a start takes about half of one."""


def new_key() -> str:
    """Make a key that nobody can guess, fit for a path."""
    return secrets.token_urlsafe(24)


@asynccontextmanager
async def forwarder(order: ForwarderOrder, environ: Mapping[str, str]) -> AsyncGenerator[str]:
    """Run a forwarder for the length of the block; yields the base URL for the agent.

    Args:
        order: where requests go.
        environ: the environment that the agent would have had: its proxies and certificates.

    Raises:
        ConfigError: it cannot start; the message says why.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mcp_local_llm.agents.forwarder",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environ,
        # Signals of the terminal are for the agent; this process ends with its stdin.
        start_new_session=True,
    )
    try:
        yield await _started(process, order)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.wait()


async def _started(process: asyncio.subprocess.Process, order: ForwarderOrder) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(order.model_dump_json().encode() + b"\n")
    with anyio.move_on_after(START_TIMEOUT_S):
        line = await process.stdout.readline()
        told: dict[str, str] = json.loads(line or "{}")
        if url := told.get("url"):
            return url
        raise ConfigError(f"The forwarder could not start: {told.get('error', 'its process ended')}.")
    raise ConfigError(f"The forwarder could not start within {START_TIMEOUT_S:.0f} s.")
