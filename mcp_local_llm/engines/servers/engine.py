"""Models that need a server of their own as engines: the loader starts the server and waits until it answers.

It must not know HTTP: the engine that sends requests comes from `ConnectEngine`.
"""

import json
import math
import secrets
import socket
import weakref
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from pathlib import Path

import anyio

from mcp_local_llm.engines.servers.commands import ServerStart, cluster_start, llama_start, machines_of
from mcp_local_llm.engines.servers.process_engine import ProcessEngine
from mcp_local_llm.engines.servers.programs import NO_LLAMA_SERVER, NO_MLX_LAUNCH, Programs
from mcp_local_llm.engines.servers.server_process import ServerProcess, health_status
from mcp_local_llm.engines.servers.stop_watch import ServerStoppedError, StopWatch
from mcp_local_llm.setup.replaced_file import replace_file
from mcp_local_llm.setup.settings import Settings
from mcp_local_llm.values.chat import ChatRequest, Message, SamplingParams
from mcp_local_llm.values.cluster import Cluster
from mcp_local_llm.values.engine import Engine
from mcp_local_llm.values.errors import LocalLLMError, ModelLoadError
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.progress import Progress, ReportProgress

START_LIMIT_S = 900.0
"""Seconds that a server may take until it answers; 200 GB of weights from a disk with 500 MB/s take 400."""

HEALTH_POLL_S = 0.1
"""Seconds between two health checks of a server that starts."""

ONE_TOKEN = ChatRequest((Message(role="user", content="Hello"),), sampling=SamplingParams(max_tokens=1))
"""The shortest request; its answer shows that a model is loaded."""

HEALTHY = 200

UNAVAILABLE = 503

ConnectEngine = Callable[[ModelInfo, Mapping[str, str], ReportProgress], Awaitable[Engine]]
"""Makes the engine that sends requests to a server over HTTP.

Takes its model, with the endpoint, and the variables that hold its key.
"""


class ServerLoader:
    """Starts servers, and stops the running ones at exit.

    Args:
        settings: of the lease owner; they count where the model's own values do not apply.
        connect: makes the engine that sends requests to a server.
        programs: finds the programs that can be started.
        environ: variables that every server inherits.
        folder: where the hostfiles of clusters are written.
        python: the interpreter on the machines of a cluster that names none.
    """

    def __init__(
        self,
        settings: Settings,
        connect: ConnectEngine,
        programs: Callable[[], Programs],
        *,
        environ: Mapping[str, str],
        folder: Path,
        python: str,
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._programs = programs
        self._environ = environ
        self._folder = folder
        self._python = python
        self._running: weakref.WeakSet[ServerProcess] = weakref.WeakSet()

    async def load(self, model: ModelInfo, report: ReportProgress) -> ProcessEngine:
        """Start the server for `model` and wait until it answers; cancelling stops it.

        Raises:
            ModelLoadError: it is not installed, ended, or did not answer in time; with its last lines.
        """
        port = _free_port()
        start = self._start_of(model, port)
        server = ServerProcess(start.command, {**self._environ, **start.environ}, secret=start.secret)
        self._running.add(server)
        try:
            async with StopWatch(server) as watch:
                engine = await watch.wait(self._ready(start, server, model, port, report))
        except ServerStoppedError as error:
            await server.stop()
            raise ModelLoadError(
                f"{model.id} could not be loaded: a signal stopped {start.title} ({error}), so it was ended. "
                "Send the request again."
            ) from error
        except BaseException:
            # A cancelled load passes here as well, and has no other place to stop the server.
            await server.stop()
            raise
        silence_s = math.inf if start.loads_late else self._settings.step_timeout_s
        return ProcessEngine(model, start.title, engine, server, partial(StopWatch, server, port, silence_s))

    def close(self) -> None:
        """Ask every server to end; does not wait. They also end when this process does."""
        for server in self._running:
            server.request_stop()

    def join(self, seconds: float) -> bool:
        """Wait at most `seconds` for each server's end after `close`; say whether all have ended."""
        ended = [server.join(seconds) for server in self._running]
        return all(ended)

    def _start_of(self, model: ModelInfo, port: int) -> ServerStart:
        programs, settings = self._programs(), self._settings
        if model.cluster is not None:
            if programs.mlx_launch is None:
                raise ModelLoadError(f"{model.id} cannot be loaded: {NO_MLX_LAUNCH}.")
            hostfile = model.cluster.hostfile or _written(model.cluster, self._folder)
            return cluster_start(programs.mlx_launch, model.cluster, port, hostfile=hostfile, python=self._python)
        if programs.llama_server is None:
            raise ModelLoadError(f"{model.id} cannot be loaded: {NO_LLAMA_SERVER}.")
        return llama_start(
            programs.llama_server,
            model,
            port,
            context=model.serving.context or settings.reserve_context,
            slots=model.serving.slots or settings.llama_slots,
            secret=secrets.token_urlsafe(32),
        )

    async def _ready(
        self, start: ServerStart, server: ServerProcess, model: ModelInfo, port: int, report: ReportProgress
    ) -> Engine:
        try:
            with anyio.fail_after(START_LIMIT_S):
                await self._until_healthy(start, server, port, report)
                engine = await self._connect(start.model(model, port), start.environ, report)
                if start.loads_late:
                    await self._until_loaded(start, engine, server, port)
                return engine
        except TimeoutError:
            reason = f"was not ready after {START_LIMIT_S:.0f} s"
        except _UnhealthyError:
            reason = "could not be loaded"
        except LocalLLMError as error:
            reason = f"could not be loaded: {error}"
        await server.wait_for_output()
        again = "\nSend the request again; it is started anew." if server.was_ended else ""
        raise ModelLoadError(f"{model.id} {reason}. {start.title} {server.describe_exit()}{again}")

    async def _until_healthy(
        self, start: ServerStart, server: ServerProcess, port: int, report: ReportProgress
    ) -> None:
        """Wait until the health check succeeds."""
        while True:
            report(Progress("loading"))
            status = await health_status(port)
            _require_health(start, server, status)
            if status == HEALTHY:
                return
            await anyio.sleep(HEALTH_POLL_S)

    async def _until_loaded(self, start: ServerStart, engine: Engine, server: ServerProcess, port: int) -> None:
        """Wait for one token, which comes when the model is loaded; give up where the health check fails."""
        failures: list[LocalLLMError] = []

        async def ask() -> None:
            try:
                async with aclosing(engine.stream(ONE_TOKEN)) as chunks:
                    async for _ in chunks:
                        pass
            except LocalLLMError as error:
                failures.append(error)
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            while True:
                try:
                    _require_health(start, server, await health_status(port))
                except _UnhealthyError as error:
                    failures.append(error)
                    group.cancel_scope.cancel()
                await anyio.sleep(HEALTH_POLL_S)
        if failures:
            raise failures[0]


class _UnhealthyError(LocalLLMError):
    """The server ended, or reports that it cannot answer."""


def _require_health(start: ServerStart, server: ServerProcess, status: int | None) -> None:
    if not server.alive or (start.loads_late and status == UNAVAILABLE):
        raise _UnhealthyError


def _free_port() -> int:
    """Return a port that is free now; a server that finds it taken ends, and its output says so."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _written(cluster: Cluster, folder: Path) -> Path:
    """Write the hostfile of a cluster that names its hosts."""
    path = folder / f"{cluster.name}.hosts.json"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, json.dumps(machines_of(cluster)).encode())
    except OSError as error:
        raise ModelLoadError(f"{path} cannot be written: {error}. mlx.launch reads the machines from it.") from error
    return path
