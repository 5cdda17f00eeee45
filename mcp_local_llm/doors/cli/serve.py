"""`serve`: a server without stdio that holds the model, and its installation as a login service."""

import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import anyio
import typer

from mcp_local_llm.doors.cli.login_service import Command, LoginService
from mcp_local_llm.doors.cli.run import FAILED, WRONG_REQUEST, fail, note
from mcp_local_llm.values.errors import ConfigError, LocalLLMError

DEFAULT_PORT = 11535


@dataclass(frozen=True)
class ServeOptions:
    """How to serve.

    Attributes:
        host, port: where to listen; port 0 is any that is free.
        model: loaded at once, and used for requests that name none; None is the choice, loaded with the first call.
        idle_minutes: as the setting of that name, which it overrides.
        until_stdin_ends: end with stdin, that is with the program that started this one.
    """

    host: str
    port: int
    model: str | None = None
    idle_minutes: float | None = None
    until_stdin_ends: bool = False

    def arguments(self) -> list[str]:
        """Write them as the arguments of the command."""
        words = ["serve", "--host", self.host, "--port", str(self.port)]
        words += ["--model", self.model] if self.model is not None else []
        return words + (["--idle-minutes", f"{self.idle_minutes:g}"] if self.idle_minutes is not None else [])


@dataclass(frozen=True)
class ServeActions:
    """The functions that `serve` calls.

    Attributes:
        run: serves until it is told to end; calls back with its URL once it takes requests.
        service: describes the login service that runs this program with the given arguments.
    """

    run: Callable[[ServeOptions, Callable[[str], None]], None]
    service: Callable[[Sequence[str]], LoginService]


def add_serve_command(commands: typer.Typer, actions: ServeActions) -> None:
    """Add `serve`."""

    def serve(
        host: Annotated[str, typer.Option(help="Address; any but a loopback one needs a key.")] = "127.0.0.1",
        port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 is any that is free.")] = DEFAULT_PORT,
        model: Annotated[
            str | None, typer.Option(help="Load this model at once, and use it for requests that name none.")
        ] = None,
        idle_minutes: Annotated[
            float | None, typer.Option(min=0, max=10_080, help="Unload after so long without a call; 0 never does.")
        ] = None,
        install: Annotated[bool, typer.Option("--install", help="Write a service that runs this command.")] = False,
        uninstall: Annotated[bool, typer.Option("--uninstall", help="Remove that service.")] = False,
        now: Annotated[bool, typer.Option("--now", help="Also start the service, or stop it.")] = False,
        until_stdin_ends: Annotated[bool, typer.Option("--until-stdin-ends", hidden=True)] = False,
    ) -> None:
        """Hold the model and answer OpenAI's API on a port, until a signal comes."""
        options = ServeOptions(host, port, model, idle_minutes, until_stdin_ends)
        if install and uninstall:
            fail("--install and --uninstall exclude each other.", WRONG_REQUEST)
        if now and not (install or uninstall):
            fail("--now belongs to --install or --uninstall.", WRONG_REQUEST)
        try:
            if install:
                _install(actions.service(options.arguments()), now=now)
            elif uninstall:
                _uninstall(actions.service(options.arguments()), now=now)
            else:
                actions.run(options, lambda url: note(f"serving {url}"))
        except ConfigError as error:
            fail(str(error), WRONG_REQUEST)
        except LocalLLMError as error:
            fail(str(error), WRONG_REQUEST if 400 <= error.status < 500 else FAILED)

    commands.command()(serve)


def _install(service: LoginService, *, now: bool) -> None:
    for folder in (service.file.parent, *service.folders):
        folder.mkdir(parents=True, exist_ok=True)
    service.file.write_bytes(service.content)
    print(f"{service.file} is written.")
    if now:
        _run(service.start)
    else:
        print(f"Start it with: {_joined(service.start)}")


def _uninstall(service: LoginService, *, now: bool) -> None:
    if not service.file.exists():
        print(f"{service.file} is not there; nothing to remove.")
        return
    if now:
        _run(service.stop)
    service.file.unlink()
    print(f"{service.file} is removed.")
    if not now:
        print(f"If it runs, stop it with: {_joined(service.stop)}")


def _run(commands: Sequence[Command]) -> None:
    """Run the system's own commands; what they print is the user's to see.

    Raises:
        ConfigError: one is not there, or failed.
    """
    for command in commands:
        program = shutil.which(command[0])
        if program is None:
            raise ConfigError(f"{command[0]} is not on this machine. Leave --now out, and start the service by hand.")
        ended = anyio.run(partial(anyio.run_process, [program, *command[1:]], stdout=None, stderr=None, check=False))
        if ended.returncode:
            raise ConfigError(f"`{shlex.join(command)}` failed with code {ended.returncode}.")


def _joined(commands: Sequence[Command]) -> str:
    return " && ".join(shlex.join(command) for command in commands)
