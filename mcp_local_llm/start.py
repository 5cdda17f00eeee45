"""How a process begins and ends: the stdio server, the command line, `serve`, signals and exit codes."""

import contextlib
import logging
import os
import platform
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import anyio

from mcp_local_llm.app import compose, refusing
from mcp_local_llm.llm.session import Session
from mcp_local_llm.setup.places import read_prompt, settings_file
from mcp_local_llm.values.errors import ConfigError, LocalLLMError

if TYPE_CHECKING:
    from mcp_local_llm.doctor import Finding
    from mcp_local_llm.doors.cli import LoginService, ServeOptions

_LOG = logging.getLogger(__name__)


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
        app = refusing(error, os.environ, Path.home())

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
    from mcp_local_llm.doors.cli import ServeActions, login_service, run_command

    def service(arguments: Sequence[str]) -> "LoginService":
        command = [sys.executable, "-m", "mcp_local_llm", *arguments]
        return login_service(platform.system(), Path.home(), os.environ, command, os.getuid())

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="mcp-local-llm: %(levelname)s: %(message)s")
    _leave(run_command(_opened, ServeActions(_serve, service), _examine))


async def _examine(ports: Sequence[int]) -> "tuple[Finding, ...]":
    # Imported here: only `doctor` needs it.
    from mcp_local_llm.doctor.read import read_setup
    from mcp_local_llm.engines.http import EndpointModels
    from mcp_local_llm.local_parts import examine, find_parts

    home = Path.home()
    setup = read_setup(settings_file(os.environ, home), os.environ)
    served = EndpointModels(setup.settings.endpoints, os.environ)
    return await examine(find_parts(os.environ, home, setup.settings, served), setup, ports)


def _serve(options: "ServeOptions", announce: Callable[[str], None]) -> None:
    # Imported here: only this command needs a web server.
    from mcp_local_llm.doors.http import Address, InFlightAnswers, serve_standing

    idle = {} if options.idle_minutes is None else {"MCP_LOCAL_LLM_IDLE_MINUTES": str(options.idle_minutes)}
    app = compose({**os.environ, **idle}, Path.home())
    key = app.settings.api_key
    address = Address(options.host, options.port, key.get_secret_value() if key else None)

    async def serve() -> None:
        async with app.llm:
            await serve_standing(app.llm, address, announce, in_flight=InFlightAnswers(), model=options.model)

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
