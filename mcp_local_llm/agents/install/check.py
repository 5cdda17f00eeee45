"""Reads what the clients' settings start for us, and whether that still works; for the check-up. Changes nothing."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import anyio
import anyio.to_thread

from mcp_local_llm.agents.install.install import ClientSettings, Installer
from mcp_local_llm.doctor import ClientFacts
from mcp_local_llm.values.errors import ConfigError

START_TIMEOUT_S = 30.0
"""Seconds in which the command must tell its version; a cold disk needs a few."""


async def read_clients(installer: Installer) -> tuple[ClientFacts, ...]:
    """Return what is known of each client that was found."""
    settings = await anyio.to_thread.run_sync(installer.settings)
    return tuple([await _facts(one, installer) for one in settings])


async def _facts(settings: ClientSettings, installer: Installer) -> ClientFacts:
    name, title, place = settings.identity
    try:
        command = await anyio.to_thread.run_sync(settings.command)
    except ConfigError as error:
        return ClientFacts(name, title, place, error=str(error))
    if not command:
        return ClientFacts(name, title, place)
    environ = installer.around.environ
    fault = await _fault(command, environ)
    ours = _program(command, environ) == _program(installer.command, environ)
    return ClientFacts(name, title, place, command, ours=ours, fault=fault)


def _program(command: tuple[str, ...], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the command with the file behind its program, through links and the PATH."""
    found = shutil.which(command[0], path=environ.get("PATH", "")) or command[0]
    return (str(Path(found).resolve()), *command[1:])


async def _fault(command: tuple[str, ...], environ: Mapping[str, str]) -> str:
    """Ask the command for its version; return why it did not tell it, empty where it did."""
    try:
        with anyio.fail_after(START_TIMEOUT_S):
            done = await anyio.run_process(
                [*command, "--version"], stdin=subprocess.DEVNULL, check=False, cwd="/", env=environ
            )
    except TimeoutError:
        return f"it did not answer within {START_TIMEOUT_S:g} s"
    except OSError as error:
        return f"it cannot be started: {error.strerror or error}"
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"it ended with code {done.returncode}"
    return ""
