"""Plans `install` and `uninstall` for the coding agents of this user. Nothing is changed before a plan is made real."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_local_llm.agents.install import claude_code
from mcp_local_llm.agents.install.claude_code import ClaudeCodeSettings
from mcp_local_llm.agents.install.clients import CLIENTS, Surroundings, is_here
from mcp_local_llm.agents.install.config_files import Backups
from mcp_local_llm.agents.install.settings_change import SettingsFile
from mcp_local_llm.setup.places import state_folder
from mcp_local_llm.values.client_change import ClientChange
from mcp_local_llm.values.errors import InvalidRequestError

PROGRAM = "mcp-local-llm"
CLIENT_NAMES = (claude_code.CLIENT, *(client.name for client in CLIENTS))

ClientSettings = SettingsFile | ClaudeCodeSettings
"""The settings of one client."""


@dataclass(frozen=True)
class Installer:
    """Writes the command of this server into the clients' settings."""

    around: Surroundings
    command: tuple[str, ...]

    def install(self, names: Sequence[str]) -> tuple[ClientChange, ...]:
        """Plan the changes for these clients; without a name, for all that are here.

        Raises:
            InvalidRequestError: there is no client of that name.
        """
        return tuple(settings.planned(self.command) for settings in self._chosen(names))

    def uninstall(self, names: Sequence[str]) -> tuple[ClientChange, ...]:
        """Plan to take this server out of these clients; without a name, out of all that know it.

        Raises:
            InvalidRequestError: there is no client of that name.
        """
        return tuple(settings.undone() for settings in self._chosen(names))

    def settings(self) -> list[ClientSettings]:
        """Return the settings of the clients that were found."""
        return [self._settings(name) for name in self.found()]

    def found(self) -> tuple[str, ...]:
        """Return the names of the clients that are here."""
        claude = (claude_code.CLIENT,) if self._which("claude") else ()
        return (*claude, *(client.name for client in CLIENTS if is_here(client, self.around, self._which)))

    def _chosen(self, names: Sequence[str]) -> list[ClientSettings]:
        if wrong := [name for name in names if name not in CLIENT_NAMES]:
            raise InvalidRequestError(f"There is no client {wrong[0]!r}. Clients: {', '.join(CLIENT_NAMES)}.")
        return [self._settings(name) for name in dict.fromkeys(names or self.found())]

    def _settings(self, name: str) -> ClientSettings:
        backups = Backups(state_folder(self.around.environ, self.around.home) / "install")
        if name == claude_code.CLIENT:
            return ClaudeCodeSettings(self._which("claude") or "claude", self.around, backups)
        client = next(client for client in CLIENTS if client.name == name)
        return SettingsFile(client, client.file(self.around), backups)

    def _which(self, program: str) -> str | None:
        return shutil.which(program, path=self.around.environ.get("PATH", ""))


def installer(home: Path, environ: Mapping[str, str], system: str) -> Installer:
    """Make the installer of this user, for the command that runs now."""
    return Installer(Surroundings(home, environ, system), own_command(environ))


def own_command(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the command that starts this server, with the absolute path of its program.

    Clients of a desktop have another PATH than a shell. A link in a folder of the PATH, such as pipx makes, stays valid
    when the environment behind it is made anew, so it goes before the program itself.
    """
    beside = Path(sys.executable).parent / PROGRAM
    linked = shutil.which(PROGRAM, path=environ.get("PATH", ""))
    if linked and Path(linked).resolve() == beside.resolve():
        return (linked,)
    return (str(beside),) if beside.exists() else (sys.executable, "-m", "mcp_local_llm")
