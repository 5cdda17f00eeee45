"""`serve`: a server without stdio that holds the model, and its installation as a login service."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
import typer

from mcp_local_llm.doors.cli.login_service import Command, LoginService
from mcp_local_llm.doors.cli.run import WRONG_REQUEST, code_of, fail, note
from mcp_local_llm.doors.cli.show import JsonOption, print_json
from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.setup.replaced_file import real_place, replace_file
from mcp_local_llm.values.errors import ConfigError, LocalLLMError

READABLE = 0o644
"""The mode of a service's file, which holds no key."""
MAX_SERVICE_BYTES = 2**20
"""The most bytes of a service's file."""

DEFAULT_PORT = 11535

EXAMPLES = """\b
Examples:
  mcp-local-llm serve --model 32b --idle-minutes 0
  mcp-local-llm serve --install --now      (from now on after each login)
  mcp-local-llm serve --uninstall --now"""


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
        as_json: JsonOption = False,
        until_stdin_ends: Annotated[bool, typer.Option("--until-stdin-ends", hidden=True)] = False,
    ) -> None:
        """Hold the model and answer OpenAI's API on a port. A signal ends it."""
        options = ServeOptions(host, port, model, idle_minutes, until_stdin_ends)
        if install and uninstall:
            fail("--install and --uninstall exclude each other.", WRONG_REQUEST)
        if now and not (install or uninstall):
            fail("--now belongs to --install or --uninstall.", WRONG_REQUEST)

        def serving(url: str) -> None:
            note(f"serving {url}")
            if as_json:
                print_json({"url": url}, indent=None)
                sys.stdout.flush()

        try:
            if install or uninstall:
                change = _install if install else _uninstall
                told = change(actions.service(options.arguments()), now=now)
                print_json(told) if as_json else print(_sentences(told))
            else:
                actions.run(options, serving)
        except ConfigError as error:
            fail(str(error), WRONG_REQUEST)
        except LocalLLMError as error:
            fail(str(error), code_of(error))

    commands.command(epilog=EXAMPLES)(serve)


def _install(service: LoginService, *, now: bool) -> Mapping[str, str]:
    """Write the file and, with `now`, start the service; where that fails, everything is as it was before.

    Returns what was done, with the commands that are left to the user.

    Raises:
        ConfigError: the file cannot be written, or the service cannot be started.
    """
    try:
        before = read_regular(service.file, MAX_SERVICE_BYTES) if service.file.exists() else None
        made = _make_folders((service.file.parent, *service.folders))
    except OSError as error:
        raise ConfigError(f"{error.filename or service.file} cannot be used: {error.strerror}. Mend that.") from error
    try:
        replace_file(real_place(service.file), service.content, READABLE)
        if now:
            if before is not None:
                _try(service.stop)  # An earlier one may run, with other options.
            _run(service.start)
    except (ConfigError, OSError, KeyboardInterrupt) as error:
        _take_back(service, before, made, now=now)
        left = "The earlier one is there again." if before is not None else "Nothing is left behind."
        raise ConfigError(f"{error or 'interrupted'} The service was not installed. {left}") from error
    told = {"file": str(service.file), "done": "installed"}
    return {**told, "service": "runs"} if now else {**told, "start": _joined(service.start)}


def _make_folders(folders: Iterable[Path]) -> list[Path]:
    """Make folders and return those that were not there, the innermost first."""
    missing = {path for folder in folders for path in (folder, *folder.parents) if not path.exists()}
    for folder in sorted(missing):
        folder.mkdir(exist_ok=True)
    return sorted(missing, reverse=True)


def _take_back(service: LoginService, before: bytes | None, made: Iterable[Path], *, now: bool) -> None:
    """Take an installation back: the service, its files, and the folders that were made for them."""
    if now:
        _try(service.stop)
    if before is not None:
        with suppress(OSError):  # It was not replaced: the disk is full.
            replace_file(real_place(service.file), before, READABLE)
        if now:
            _try(service.start)
        return
    _remove_files(service, now=now)
    for folder in made:
        with suppress(OSError):  # somebody else put something there
            folder.rmdir()


def _remove_files(service: LoginService, *, now: bool) -> None:
    service.file.unlink(missing_ok=True)
    for link in service.links:
        with suppress(OSError):  # it was not enabled, or other services are linked there
            link.unlink()
            link.parent.rmdir()
    if now:
        _try(service.forget)


def _uninstall(service: LoginService, *, now: bool) -> Mapping[str, str]:
    """Stop the service with `now`, then remove its files; where it cannot be stopped, everything stays as it was.

    Returns what was done, with the commands that are left to the user.

    Raises:
        ConfigError: the service cannot be stopped.
    """
    if not service.file.exists():
        return {"file": str(service.file), "done": "nothing"}
    if now:
        try:
            _run(service.stop, fine=service.stopped)
        except ConfigError as error:
            raise ConfigError(
                f"{error} The service may still run, so {service.file} stays. `serve --uninstall` without --now "
                "removes it all the same."
            ) from error
    _remove_files(service, now=now)
    told = {"file": str(service.file), "done": "uninstalled"}
    return told if now else {**told, "stop": _joined(service.stop)}


def _sentences(told: Mapping[str, str]) -> str:
    """Write for people what was done."""
    match told:
        case {"done": "installed", "service": _}:
            return f"{told['file']} is written and the service runs."
        case {"done": "installed"}:
            return f"{told['file']} is written.\nStart it with: {told['start']}"
        case {"done": "uninstalled", "stop": stop}:
            return f"{told['file']} is removed.\nIf it runs, stop it with: {stop}"
        case {"done": "uninstalled"}:
            return f"{told['file']} is removed."
        case _:
            return f"{told['file']} is not there; nothing to remove."


def _run(commands: Sequence[Command], fine: Sequence[int] = (0,)) -> None:
    """Run the system's own commands; what they print is the user's to see, on stderr.

    Raises:
        ConfigError: one is not there, or ended with a code that is not `fine`.
    """
    for command in commands:
        program = shutil.which(command[0])
        if program is None:
            raise ConfigError(f"{command[0]} is not on this machine. Leave --now out, and start the service by hand.")
        ended = anyio.run(
            partial(anyio.run_process, [program, *command[1:]], stdout=sys.stderr, stderr=None, check=False)
        )
        if ended.returncode not in fine:
            raise ConfigError(f"`{shlex.join(command)}` failed with code {ended.returncode}.")


def _try(commands: Sequence[Command]) -> None:
    """Run commands that may fail: what they undo may not be there, or their service manager is not."""
    for command in commands:
        if program := shutil.which(command[0]):
            run = partial(anyio.run_process, [program, *command[1:]], stdout=subprocess.DEVNULL, check=False)
            anyio.run(partial(run, stderr=subprocess.DEVNULL))


def _joined(commands: Sequence[Command]) -> str:
    return " && ".join(shlex.join(command) for command in commands)
