"""The composition root: the one place that names concrete classes of several packages and reads the real world."""

import contextlib
import logging
import os
import platform
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import anyio

from mcp_local_llm import __version__
from mcp_local_llm.ground import lay_lease, settings_file
from mcp_local_llm.llm.llm import Caller
from mcp_local_llm.llm.request_log import set_log_level
from mcp_local_llm.llm.session import Session
from mcp_local_llm.setup.prompts import read_prompt
from mcp_local_llm.setup.settings import Settings, load_settings
from mcp_local_llm.values.errors import ConfigError, LocalLLMError

if TYPE_CHECKING:
    from mcp_local_llm.doctor import Finding
    from mcp_local_llm.doors.cli import Background, ServeOptions
    from mcp_local_llm.engines.mlx import MlxBackend
    from mcp_local_llm.engines.servers import ProcessBackend
    from mcp_local_llm.llm.local import Local
    from mcp_local_llm.models.hub import Repository
    from mcp_local_llm.values.engine import Engine, ReportProgress
    from mcp_local_llm.values.model import ModelInfo

_LOG = logging.getLogger(__name__)

JOIN_S = 0.05
"""How long the end of the process waits for the MLX thread: a step of a large model takes longer, and then the kernel
takes everything back."""


@dataclass
class Engines:
    """The engines of this process; None until the first verb that runs here made them."""

    mlx: "MlxBackend | None" = None
    servers: "ProcessBackend | None" = None

    def close(self, join_s: float = JOIN_S) -> bool:
        """Stop them; returns whether the MLX thread ended within `join_s` seconds."""
        if self.servers is not None:
            self.servers.close()
        if self.mlx is None:
            return True
        self.mlx.close()
        return self.mlx.join(join_s)


@dataclass(frozen=True)
class App:
    """The parts that the outside touches."""

    llm: Session
    settings: Settings
    engines: Engines = field(default_factory=Engines)


def compose(environ: Mapping[str, str], home: Path) -> App:
    """Put the application together from what this machine and this user have; loads nothing.

    Raises:
        ConfigError: a setting is wrong.
    """
    settings = load_settings(settings_file(environ, home), environ)
    set_log_level(settings.log_level)
    for warning in settings.warnings:
        _LOG.warning(warning)
    engines = Engines()
    session = Session(
        lease=lay_lease(environ, home),
        version=__version__,
        make_local=partial(_make_local, environ, home, settings, engines),
        caller=Caller(f"pid {os.getpid()}", settings.model, settings.sampling),
        share=settings.share,
    )
    return App(session, settings, engines)


def _make_local(environ: Mapping[str, str], home: Path, settings: Settings, engines: Engines) -> "Local":
    """Make what executes verbs in this process. An attached session never comes here, so it imports none of this."""
    from mcp_local_llm.engine_settings import mlx_limits, server_settings
    from mcp_local_llm.engines.http import EndpointModels, HttpBackend
    from mcp_local_llm.engines.mlx import MlxBackend
    from mcp_local_llm.engines.servers import ProcessBackend
    from mcp_local_llm.ground import lay_ground, prefix_folder
    from mcp_local_llm.llm.local import Local
    from mcp_local_llm.models.downloads import Downloads
    from mcp_local_llm.models.hub import Hub, hub_access
    from mcp_local_llm.residency import Resident, RoutedBackend
    from mcp_local_llm.setup.machine import memory_reader

    ground = lay_ground(environ, home, settings, EndpointModels(settings.endpoints, environ))
    hub = Hub(hub_access(environ, home, ground.roots.hub_caches[0]))
    prefixes = prefix_folder(environ, home, ground.probe.system)
    engines.mlx = MlxBackend(mlx_limits(settings, prefixes=prefixes, memory=memory_reader(ground.probe)))
    to_start = server_settings(settings, environ=environ, folder=ground.state / "clusters", python=sys.executable)
    engines.servers = ProcessBackend(to_start, _connect, ground.programs)
    routed = RoutedBackend(here=engines.mlx, started=engines.servers, elsewhere=HttpBackend(environ))
    return Local(
        catalog=ground.catalog,
        resident=Resident(routed, idle_s=settings.idle_minutes * 60),
        downloads=Downloads(hub=hub, catalog=ground.catalog, describe=_announced),
        speeds=ground.speeds,
        machine=ground.machine,
    )


async def _connect(model: "ModelInfo", key: Mapping[str, str], report: "ReportProgress") -> "Engine":
    from mcp_local_llm.engines.http import HttpBackend

    return await HttpBackend(key).load(model, report)


def _refusing(error: ConfigError, environ: Mapping[str, str], home: Path) -> App:
    """Make an application that answers every verb with what is wrong with the settings.

    A client shows a server that ends before the handshake as failed, without a reason, so the server serves.
    """
    told = ConfigError(f"{error} Then start this server anew: reconnect it in the client.")

    def refuse() -> "Local":
        raise told

    lease = lay_lease(environ, home)
    return App(Session(lease=lease, version=__version__, make_local=refuse, caller=Caller(), share=False), Settings())


def run_stdio() -> NoReturn:
    """Serve MCP on stdin and stdout until the client goes; ends the process."""
    # Imported here: the command line needs no MCP, and the SDK takes half a second.
    from mcp_local_llm.doors.mcp import build_server, serve_stdio

    # Before the SDK configures logging by itself; stdout belongs to the protocol, stderr to people.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="mcp-local-llm: %(levelname)s: %(message)s")
    # The client's working folder may be removed while this process runs; libraries look there for files.
    os.chdir("/")
    try:
        app = compose(os.environ, Path.home())
    except ConfigError as error:
        _LOG.error(str(error))
        app = _refusing(error, os.environ, Path.home())

    def leave(code: int = 0) -> NoReturn:
        # At once, from inside the loop: an orderly end of the loop, the socket and the threads takes a third of a
        # second in which the client waits. Attached sessions see their connection end, as after a crash.
        if app.engines.servers is not None:
            app.engines.servers.close()
        _leave(code)

    async def serve() -> None:
        greeted = anyio.Event()
        async with app.llm, anyio.create_task_group() as tasks:
            if app.settings.preload:
                tasks.start_soon(_preload, app.llm, greeted)
            server = build_server(app.llm, read_prompt("switch-model"), greeted.set)
            await serve_stdio(server, leave, app.llm.finish_others)
            leave()

    try:
        anyio.run(serve)
    except BaseException as error:
        # Caught at the edge of the process: the thread that holds the model would keep the process alive, for nobody.
        logging.critical("The server failed.", exc_info=error)
    leave(1)


async def _preload(llm: Session, greeted: anyio.Event) -> None:
    """Load the chosen model once the client was greeted: the imports would make the handshake wait."""
    await greeted.wait()
    try:
        await llm.preload(lambda progress: None)
    except LocalLLMError as error:
        _LOG.warning("The setting preload could not be followed: %s", error)


def run_cli() -> NoReturn:
    """Do what the command line asks for; ends the process with its exit code."""
    # Imported here: the stdio server, which every agent waits for, needs neither typer nor tables.
    from mcp_local_llm.doors.cli import Holder, background, run_command

    def service(arguments: Sequence[str]) -> "Background":
        command = [sys.executable, "-m", "mcp_local_llm", *arguments]
        return background(platform.system(), Path.home(), os.environ, command, os.getuid())

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="mcp-local-llm: %(levelname)s: %(message)s")
    _leave(run_command(_opened, Holder(_serve, service), _examine))


async def _examine(ports: Sequence[int]) -> "tuple[Finding, ...]":
    # Imported here: only `doctor` needs it.
    from mcp_local_llm.checkup import examine, read_setup
    from mcp_local_llm.engines.http import EndpointModels
    from mcp_local_llm.ground import lay_ground

    home = Path.home()
    setup = read_setup(settings_file(os.environ, home), os.environ)
    served = EndpointModels(setup.settings.endpoints, os.environ)
    return await examine(lay_ground(os.environ, home, setup.settings, served), setup, ports)


def _serve(options: "ServeOptions", announce: Callable[[str], None]) -> None:
    # Imported here: only this command needs a web server.
    from mcp_local_llm.doors.http import Address, Traffic, serve_standing

    idle = {} if options.idle_minutes is None else {"MCP_LOCAL_LLM_IDLE_MINUTES": str(options.idle_minutes)}
    app = compose({**os.environ, **idle}, Path.home())
    key = app.settings.api_key
    address = Address(options.host, options.port, key.get_secret_value() if key else None)

    async def serve() -> None:
        async with app.llm:
            await serve_standing(app.llm, address, announce, traffic=Traffic(), model=options.model)

    try:
        anyio.run(serve)
    finally:
        app.engines.close()


@asynccontextmanager
async def _opened(note: Callable[[str], None]) -> AsyncGenerator[Session]:
    """Open the core for one command; `note` takes a sentence for the user."""
    app = compose(os.environ, Path.home())
    try:
        async with app.llm:
            yield app.llm
            if app.llm.holds_model:
                note(
                    "this command loaded the model, and gives its memory back now. `mcp-local-llm serve` keeps a model "
                    "loaded for every session; `mcp-local-llm serve --install` does so after each login."
                )
                await app.llm.finish_others()
    finally:
        app.engines.close()


def _leave(code: int = 0) -> NoReturn:
    """End the process now: no thread may hold the exit up while it computes."""
    # The reader of our output may be gone already (`mcp-local-llm models | head -1`).
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _announced(repository: "Repository") -> "ModelInfo":
    from mcp_local_llm.models.find import announced_model, native_architectures

    names = [file.name for file in repository.files]
    architectures = native_architectures()
    return announced_model(repository.id, dict(repository.config), names, repository.weight_bytes, architectures)
