"""The local model in a process of its own, beside an agent that does not depend on it.

A model that crashes, or takes all the processor's time, must not end or hold up the process that keeps the agent.
"""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

import anyio

from mcp_local_llm.agents.printed import SERVE_ANY, SERVE_KEY
from mcp_local_llm.values.errors import ConfigError

END_TIMEOUT_S = 10.0
"""Seconds for its last words; answers in progress get an error at once."""

MAX_LINES = 50
"""The most lines of its stderr that are kept, for the message about its end."""

_SERVING = re.compile(r"serving (http://127\.0\.0\.1:\d+)")


class LocalServer:
    """A `serve` that ends with this process.

    Attributes:
        address: where it listens, without a path.
        said: its last lines on stderr.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.address = ""
        self.said = deque[str](maxlen=MAX_LINES)
        self._process = process

    @property
    def failure(self) -> str | None:
        """Why it has ended; None while it runs."""
        code = self._process.returncode
        return None if code is None else f"its process ended with code {code}: {' '.join(self.said) or 'no reason'}"

    async def started(self) -> None:
        """Wait until it takes requests.

        Raises:
            ConfigError: it ended before; the message is its own.
        """
        while line := await self._line():
            if found := _SERVING.search(line):
                self.address = found[1]
                return
        await self._process.wait()
        raise ConfigError(f"The local model's server could not start: {self.failure}")

    async def listen(self) -> None:
        """Read what it says, so that it can go on."""
        while await self._line():
            pass

    async def end(self) -> None:
        """End it, and wait for that."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with anyio.move_on_after(END_TIMEOUT_S):
            await self._process.wait()
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def _line(self) -> str:
        assert self._process.stderr is not None
        try:
            line = (await self._process.stderr.readline()).decode(errors="replace")
        except ValueError:
            return "(a line that is too long)"
        if line.strip():
            self.said.append(line.strip())
        return line


@asynccontextmanager
async def local_server(
    program: Sequence[str], model: str | None, key: str, environ: Mapping[str, str]
) -> AsyncGenerator[LocalServer]:
    """Serve the local model for the length of the block; every model's name means it.

    Args:
        program: the words that start this program.
        model: loaded at once; None is the choice, loaded with the first request.
        key: what requests must bring.
        environ: the environment.

    Raises:
        ConfigError: it cannot start.
    """
    command = [*program, "serve", "--host", "127.0.0.1", "--port", "0", "--until-stdin-ends"]
    process = await asyncio.create_subprocess_exec(
        *command,
        *(["--model", model] if model is not None else []),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**environ, SERVE_KEY: key, SERVE_ANY: "true"},
        # Signals of the terminal are for the agent.
        start_new_session=True,
    )
    server = LocalServer(process)
    try:
        await server.started()
        listening = asyncio.create_task(server.listen())
        yield server
        listening.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await server.end()
