"""Starts and ends the process: the stdio server, the command line and `serve`, with their exit codes."""

import contextlib
import logging
import os
import platform
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, NoReturn

import anyio

from mcp_local_llm import __version__
from mcp_local_llm.app import App, compose, compose_refusing
from mcp_local_llm.llm.session import Session
from mcp_local_llm.setup.log import flush_log, log_to_stderr
from mcp_local_llm.setup.places import settings_file, state_folder, user_home, working_folder
from mcp_local_llm.setup.settings_file import load_settings
from mcp_local_llm.values.errors import ConfigError, InvalidRequestError, LocalLLMError

if TYPE_CHECKING:
    from mcp_local_llm.agents.install.install import Installer
    from mcp_local_llm.doctor import Examination
    from mcp_local_llm.doors.cli import BenchParts, LoginService, ServeOptions
    from mcp_local_llm.models.storage import Storage
    from mcp_local_llm.values.launch_order import LaunchOrder
    from mcp_local_llm.values.progress import ReportProgress

INTERRUPTED = 128 + signal.SIGINT
"""Exit code of a process that Ctrl-C ended before it was ready, as in shells."""

_LOG = logging.getLogger(__name__)


def run_stdio(client: int) -> NoReturn:
    """Serve MCP on stdin and stdout until the client closes them or has died; ends the process.

    Args:
        client: id of the process that started this one.
    """
    # Imported here: the command line needs no MCP, and the SDK takes half a second.
    from mcp_local_llm.doors.mcp import build_server, serve_stdio

    # Before the SDK configures logging by itself; stdout is for the protocol, so messages go to stderr.
    log_to_stderr()
    # The client's working folder may be removed while this process runs, and libraries read the working folder.
    folder = working_folder()
    os.chdir("/")
    try:
        app = compose(os.environ, user_home(), folder=folder)
    except ConfigError as error:
        _LOG.error(str(error))
        app = compose_refusing(error, os.environ)

    def leave(code: int = 0) -> NoReturn:
        # At once, from inside the event loop: closing the loop, the socket and the threads takes a third of a second,
        # in which the client waits. The connections of attached sessions end, as after a crash.
        if app.engines.servers is not None:
            app.engines.servers.close()
        _leave(code)

    async def serve() -> None:
        greeted = anyio.Event()
        async with app.llm, anyio.create_task_group() as tasks:
            if app.settings.preload:
                tasks.start_soon(_preload, app.llm, greeted)
            server = build_server(app.llm, app.delegation, greeted.set)
            await serve_stdio(server, leave, _ending_signals(), client, app.llm.finish_others)
            leave()

    try:
        anyio.run(serve)
    except KeyboardInterrupt:
        leave(INTERRUPTED)  # Ctrl-C before the signals are received.
    except BaseException as error:
        # Caught at the edge of the process: otherwise the MLX thread keeps the process alive after its client has gone.
        _LOG.critical("The server failed.", exc_info=error)
    leave(1)


async def _preload(llm: Session, greeted: anyio.Event) -> None:
    """Load the chosen model after the handshake, which the imports would delay."""
    await greeted.wait()
    try:
        await llm.preload(lambda progress: None)
    except LocalLLMError as error:
        _LOG.warning("The setting preload could not be followed: %s", error)
    except Exception:
        # Nobody asked for this load, so it must not end the process; the next call meets the cause, and tells it.
        _LOG.exception("The setting preload could not be followed.")


def run_cli() -> NoReturn:
    """Run a command; ends the process with the command's exit code."""
    # Imported here: the stdio server, whose start every client waits for, needs neither typer nor rich.
    from mcp_local_llm.doors.cli import CommandParts, ServeActions, login_service, run_command
    from mcp_local_llm.setup.settings_edit import SettingsEditor

    def service(arguments: Sequence[str]) -> "LoginService":
        command = [sys.executable, "-m", "mcp_local_llm", *arguments]
        return login_service(platform.system(), user_home(), os.environ, command, os.getuid())

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # The imports are over.
    log_to_stderr()
    try:
        home = user_home()
    except ConfigError as error:
        _LOG.error(str(error))
        _leave(1)
    parts = CommandParts(
        open_llm=_opened,
        serve=ServeActions(_serve, service),
        examine=_examine,
        storage=_storage,
        settings=SettingsEditor(settings_file(os.environ, home), os.environ),
        launch=_launch,
        clients=_installer,
        bench=_bench,
        history=state_folder(os.environ, home) / "chat_history",
    )
    _leave(run_command(parts))


def run_welcome() -> NoReturn:
    """Tell a person who started the stdio server by hand what it is; ends the process."""
    from mcp_local_llm.doors.cli.welcome import print_welcome

    print_welcome()
    _leave()


def _storage() -> "Storage":
    # Imported here: only the commands that remove something need it.
    from mcp_local_llm.local_parts import storage

    home = user_home()
    return storage(os.environ, home, load_settings(settings_file(os.environ, home), os.environ))


def _bench() -> "BenchParts":
    # Imported here: only `bench` needs it.
    from mcp_local_llm.bench.bench import Bench
    from mcp_local_llm.bench.reports import ReportFolder
    from mcp_local_llm.doors.cli import BenchParts
    from mcp_local_llm.models.speed import engine_versions
    from mcp_local_llm.setup.machine import local_machine_reader, read_machine
    from mcp_local_llm.values.model import human_bytes

    here = read_machine(local_machine_reader())
    machine = f"{here.chip}, {here.cores} cores, {human_bytes(here.memory.total)} of memory, {here.system}"
    folder = state_folder(os.environ, user_home()) / "bench"
    return BenchParts(Bench(machine, f"mcp-local-llm {__version__}, {engine_versions()}"), ReportFolder(folder))


def _installer() -> "Installer":
    # Imported here: only `install` and `uninstall` need the readers of the clients' formats.
    from mcp_local_llm.agents.install.install import installer

    return installer(user_home(), os.environ, platform.system())


async def _examine(ports: Sequence[int]) -> "Examination":
    # Imported here: only `doctor` needs it.
    from mcp_local_llm.doctor.read import read_setup
    from mcp_local_llm.engines.http import EndpointModels
    from mcp_local_llm.local_parts import examine, find_parts

    home = user_home()
    setup = read_setup(settings_file(os.environ, home), os.environ)
    served = EndpointModels(setup.settings.endpoints, os.environ)
    return await examine(find_parts(os.environ, home, setup.settings, served), setup, ports)


def _serve(options: "ServeOptions", announce: Callable[[str], None]) -> None:
    # Imported here: only this command needs a web server.
    from mcp_local_llm.doors.http import Address, serve_standing

    idle = {} if options.idle_minutes is None else {"MCP_LOCAL_LLM_IDLE_MINUTES": str(options.idle_minutes)}
    app = compose({**os.environ, **idle}, user_home(), options.model)
    settings = app.settings
    key = settings.api_key.get_secret_value() if settings.api_key else None
    address = Address(
        options.host,
        options.port,
        key,
        settings.allowed_hosts,
        settings.allowed_origins,
        any_model=settings.serve_any_model,
    )

    if options.until_stdin_ends:
        threading.Thread(target=_end_with_stdin, daemon=True).start()

    async def serve() -> None:
        async with app.llm:
            await app.llm.hold()
            load = None if options.model is None else lambda: app.llm.preload(lambda _: None)
            await serve_standing(app.llm, address, announce, signals=_ending_signals(), load=load)

    try:
        anyio.run(serve)
    finally:
        app.engines.close()


def _end_with_stdin() -> None:
    """Wait for the end of stdin, then end this process as a signal does."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


async def _launch(order: "LaunchOrder", say: Callable[[str], None], report: "ReportProgress") -> int:
    # Imported here: only this command needs agents and a web server.
    from mcp_local_llm.agents.beside import launch_beside
    from mcp_local_llm.agents.launch import Surroundings, launch
    from mcp_local_llm.agents.printed import printed
    from mcp_local_llm.doors.http import Address, InFlightAnswers, serving_at

    folder = working_folder()
    if folder is None:
        raise ConfigError("The working folder was removed. Start the agent in another one.")
    around = Surroundings(os.environ, user_home(), folder, say, report)
    program = [sys.executable, "-m", "mcp_local_llm"]
    async with _opened(say, order.model) as app:
        if order.subagents_local:
            if order.shown:
                raise InvalidRequestError(
                    "--print shows nothing of --subagents-local: its processes end with the agent."
                )
            return await launch_beside(app.llm, order, around, program)
        if order.shown:
            # stdout: these are commands for a shell.
            sys.stdout.write(await printed(app.llm, order, around, program))
            return 0

        def open_door(key: str) -> AbstractAsyncContextManager[str]:
            return serving_at(app.llm, Address("127.0.0.1", 0, key, any_model=True), InFlightAnswers())

        return await launch(app.llm, order, around, open_door)


@asynccontextmanager
async def _opened(note: Callable[[str], None], model: str | None = None) -> AsyncGenerator[App]:
    """Open a session for one command; `note` receives a sentence for the user; `model` as in `compose`."""
    app = compose(os.environ, user_home(), model, folder=working_folder())
    try:
        async with app.llm:
            try:
                yield app
            except Exception:
                # Whatever the command fails with, the calls of other sessions are finished first.
                await _give_back(app.llm, note)
                raise
            await _give_back(app.llm, note)
    finally:
        app.engines.close()


async def _give_back(llm: Session, note: Callable[[str], None]) -> None:
    """Finish what other sessions have begun here, with the model of this process or of an endpoint."""
    if llm.holds_model:
        note(
            "this command loaded the model and unloads it now. `mcp-local-llm serve` keeps a model "
            "loaded for every session; `mcp-local-llm serve --install` does so after each login."
        )
    await llm.finish_others()


def _ending_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that end this process; SIGHUP, that of a closed terminal, not where `nohup` ignores it."""
    closed = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    return (signal.SIGINT, signal.SIGTERM, *closed)


def _leave(code: int = 0) -> NoReturn:
    """End the process now, without waiting for threads that compute."""
    # The reader of stdout may have ended already (`mcp-local-llm models | head -1`).
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    flush_log()
    os._exit(code)
