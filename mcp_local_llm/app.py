"""The composition root: the one place that names concrete classes of several packages and reads the real world."""

import contextlib
import logging
import os
import platform
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import anyio
import anyio.to_thread

from mcp_local_llm import __version__
from mcp_local_llm.discovery import announced_model, native_architectures
from mcp_local_llm.downloads import Downloads
from mcp_local_llm.engine import Engine, ReportProgress
from mcp_local_llm.engine_settings import mlx_limits, server_settings
from mcp_local_llm.engines.http import EndpointModels, HttpBackend, SocketHolder
from mcp_local_llm.engines.mlx import MlxBackend
from mcp_local_llm.engines.process import ProcessBackend
from mcp_local_llm.errors import ConfigError
from mcp_local_llm.ground import lay_ground, prefix_folder, settings_file
from mcp_local_llm.hub import Hub, Repository, hub_access
from mcp_local_llm.machine import memory_reader
from mcp_local_llm.misconfigured import Misconfigured
from mcp_local_llm.model import ModelInfo
from mcp_local_llm.prompts import read_prompt
from mcp_local_llm.request_log import set_log_level
from mcp_local_llm.residency import Lease, Resident, RoutedBackend, SharedBackend
from mcp_local_llm.service import LocalLLM
from mcp_local_llm.settings import Settings, load_settings

if TYPE_CHECKING:
    from mcp_local_llm.cli import Background, ServeOptions
    from mcp_local_llm.doctor import Finding
    from mcp_local_llm.openai_api import SocketDoor

JOIN_S = 0.05
"""How long the end of the process waits for the MLX thread: a step of a large model takes longer, and then the kernel
takes everything back."""

log = logging.getLogger(__name__)

HANDOVER_S = 2.0
"""Seconds that a process which was asked to leave lets the newer one take its place."""


@dataclass(frozen=True)
class App:
    """The parts that the outside touches."""

    llm: LocalLLM
    backend: MlxBackend
    servers: ProcessBackend
    settings: Settings
    door: "HolderDoor"


def compose(environ: Mapping[str, str], home: Path) -> App:
    """Put the application together from what this machine and this user have; loads nothing.

    Raises:
        ConfigError: a setting is wrong.
    """
    settings = load_settings(settings_file(environ, home), environ)
    set_log_level(settings.log_level)
    for warning in settings.warnings:
        log.warning(warning)
    ground = lay_ground(environ, home, settings, EndpointModels(settings.endpoints, environ))
    catalog, lease = ground.catalog, ground.lease
    hub = Hub(hub_access(environ, home, ground.roots.hub_caches[0]))
    prefixes = prefix_folder(environ, home, ground.probe.system)
    backend = MlxBackend(mlx_limits(settings, prefixes=prefixes, memory=memory_reader(ground.probe)))
    to_start = server_settings(settings, environ=environ, folder=ground.state / "clusters", python=sys.executable)
    servers = ProcessBackend(to_start, _connect, ground.programs)
    routed = RoutedBackend(here=backend, started=servers, elsewhere=HttpBackend(environ))
    door = HolderDoor(lease)
    holder = SocketHolder(lease.socket, __version__, alive=lease.elsewhere)
    shared = SharedBackend(
        lease=lease,
        version=__version__,
        local=routed,
        holder=holder,
        door=door,
        require_room=partial(catalog.require_room, held=None),
    )
    resident = Resident(shared if settings.share else routed, idle_s=settings.idle_minutes * 60)
    llm = LocalLLM(
        catalog=catalog,
        resident=resident,
        downloads=Downloads(hub=hub, catalog=catalog, describe=_announced),
        speeds=ground.speeds,
        machine=ground.machine,
        sampling=settings.sampling,
        sharing=shared if settings.share else None,
    )
    door.answer_with(llm, resident)
    return App(llm, backend, servers, settings, door)


class HolderDoor:
    """The socket on which the holder answers other sessions; the web server behind it is imported when it opens."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._parts: tuple[LocalLLM, Resident] | None = None
        self._door: SocketDoor | None = None

    def answer_with(self, llm: LocalLLM, resident: Resident) -> None:
        """Name who answers; the core and its backends need each other, so this comes after both were made."""
        self._parts = (llm, resident)

    async def open(self) -> None:
        """Begin to answer; see `residency.shared.Door`."""
        if self._door is None:
            assert self._parts is not None, "answer_with comes first"
            self._door = await anyio.to_thread.run_sync(self._build, self._parts[0])
        await self._door.open()

    def _build(self, llm: LocalLLM) -> "SocketDoor":
        # On a thread: the import takes a third of a second, in which the event loop answers `status`.
        from mcp_local_llm.openai_api import SocketDoor

        return SocketDoor(self._lease.socket, llm, self._leaving)

    def sessions(self) -> tuple[int, ...]:
        """Return the other processes that use the model through it."""
        return self._door.sessions() if self._door is not None else ()

    async def close(self) -> None:
        """Tell the sessions that wait for an answer that it will not come, and stop answering."""
        if self._door is not None:
            await self._door.close()

    @asynccontextmanager
    async def _leaving(self) -> AsyncGenerator[None]:
        """Make room for a newer holder; this process attaches to it with its next call."""
        assert self._parts is not None, "answer_with comes first"
        async with self._parts[1].vacated():
            yield
            self._lease.release()
            # Calls that wait here would take the lease back at once; whoever asked for it looks ten times a second.
            with anyio.move_on_after(HANDOVER_S):
                while not self._lease.elsewhere():
                    await anyio.sleep(HANDOVER_S / 40)


async def _connect(model: ModelInfo, key: Mapping[str, str], report: ReportProgress) -> Engine:
    return await HttpBackend(key).load(model, report)


def run_stdio() -> NoReturn:
    """Serve MCP on stdin and stdout until the client goes; ends the process."""
    # Imported here: the command line needs no MCP, and the SDK takes half a second.
    from mcp_local_llm.mcp_server import build_server, serve_stdio

    # Before the SDK configures logging by itself; stdout belongs to the protocol, stderr to people.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="mcp-local-llm: %(levelname)s: %(message)s")
    app: App | None = None
    try:
        app = compose(os.environ, Path.home())
        llm = app.llm
    except ConfigError as error:
        # Served all the same: a client tells its user what a tool says, and not what a dead server wrote.
        log.error(str(error))
        llm = Misconfigured(error)

    def leave(code: int = 0) -> NoReturn:
        # At once, from inside the loop: an orderly end of the loop, the socket and the threads takes a third of a
        # second in which the client waits. Attached sessions see their connection end, as after a crash.
        if app is not None:
            app.servers.close()
        _leave(code)

    async def serve() -> None:
        await serve_stdio(build_server(llm, read_prompt("switch-model")), leave)
        leave()

    try:
        anyio.run(serve)
    except BaseException as error:
        # Whatever it was: the thread that holds the model would keep the process alive, for nobody.
        logging.critical("The server failed.", exc_info=error)
    leave(1)


def run_cli() -> NoReturn:
    """Do what the command line asks for; ends the process with its exit code."""
    # Imported here: the stdio server, which every agent waits for, needs neither typer nor tables.
    from mcp_local_llm.cli import Holder, background, run_command

    def service(arguments: Sequence[str]) -> "Background":
        command = [sys.executable, "-m", "mcp_local_llm", *arguments]
        return background(platform.system(), Path.home(), os.environ, command, os.getuid())

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="mcp-local-llm: %(levelname)s: %(message)s")
    _leave(run_command(_opened, Holder(_serve, service), _examine))


async def _examine(ports: Sequence[int]) -> "tuple[Finding, ...]":
    # Imported here: only `doctor` needs it.
    from mcp_local_llm.checkup import examine, read_setup

    home = Path.home()
    setup = read_setup(settings_file(os.environ, home), os.environ)
    served = EndpointModels(setup.settings.endpoints, os.environ)
    return await examine(lay_ground(os.environ, home, setup.settings, served), setup, ports)


def _serve(options: "ServeOptions", announce: Callable[[str], None]) -> None:
    # Imported here: only who serves over HTTP needs a web server.
    from mcp_local_llm.openai_api import Address, Traffic, serve_standing

    idle = {} if options.idle_minutes is None else {"MCP_LOCAL_LLM_IDLE_MINUTES": str(options.idle_minutes)}
    app = compose({**os.environ, **idle}, Path.home())
    key = app.settings.api_key
    address = Address(options.host, options.port, key.get_secret_value() if key else None)

    async def serve() -> None:
        try:
            await serve_standing(app.llm, address, announce, traffic=Traffic(), model=options.model)
        finally:
            with anyio.CancelScope(shield=True):
                await app.door.close()

    try:
        anyio.run(serve)
    finally:
        _close(app)


@contextlib.contextmanager
def _opened() -> Generator[LocalLLM]:
    app = compose(os.environ, Path.home())
    try:
        yield app.llm
    finally:
        _close(app)


def _close(app: App) -> None:
    app.servers.close()
    app.backend.close()
    app.backend.join(JOIN_S)


def _leave(code: int = 0) -> NoReturn:
    """End the process now: no thread may hold the exit up while it computes."""
    # Whoever read our output may be gone already (`mcp-local-llm models | head -1`).
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _announced(repository: Repository) -> ModelInfo:
    names = [file.name for file in repository.files]
    architectures = native_architectures()
    return announced_model(repository.id, dict(repository.config), names, repository.weight_bytes, architectures)
