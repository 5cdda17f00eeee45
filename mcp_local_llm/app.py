"""The composition root: makes the session of this process from settings and paths."""

import logging
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from mcp_local_llm import __version__
from mcp_local_llm.delegation.delegation import Delegation
from mcp_local_llm.llm.llm import Caller
from mcp_local_llm.llm.session import Session
from mcp_local_llm.residency.lease import lease_of_user
from mcp_local_llm.setup.log import open_log
from mcp_local_llm.setup.places import settings_file, state_folder, user_templates
from mcp_local_llm.setup.private_words import private_words
from mcp_local_llm.setup.settings import Settings
from mcp_local_llm.setup.settings_file import load_settings
from mcp_local_llm.values.errors import ConfigError

if TYPE_CHECKING:
    from mcp_local_llm.delegation.workplace import Workplace
    from mcp_local_llm.engines.mlx import MlxLoader
    from mcp_local_llm.engines.servers import ServerLoader
    from mcp_local_llm.llm.local import Local

JOIN_S = 0.05
"""Seconds that the end of the process waits for the MLX thread; then the kernel frees the thread's memory."""

_LOG = logging.getLogger(__name__)


@dataclass
class Engines:
    """The engines of this process; None until the first verb is executed here."""

    mlx: "MlxLoader | None" = None
    servers: "ServerLoader | None" = None

    def keep(self, mlx: "MlxLoader", servers: "ServerLoader") -> None:
        """Store the engines, to close them at the end."""
        self.mlx, self.servers = mlx, servers

    def close(self, join_s: float = JOIN_S) -> bool:
        """Stop the engines; return whether the MLX thread ended within `join_s` seconds."""
        if self.servers is not None:
            self.servers.close()
        if self.mlx is None:
            return True
        self.mlx.close()
        return self.mlx.join(join_s)


@dataclass(frozen=True)
class App:
    """The session of this process, with its settings and engines."""

    llm: Session
    settings: Settings
    delegation: Delegation
    engines: Engines = field(default_factory=Engines)


def compose(environ: Mapping[str, str], home: Path, model: str | None = None, folder: Path | None = None) -> App:
    """Make the application from the settings of this user; loads nothing.

    Args:
        environ: the process's environment.
        home: the user's home folder.
        model: for requests that name none, whatever the saved choice is.
        folder: the working folder that this process was started in, whose files may be read; None for none.

    Raises:
        ConfigError: a setting is wrong.
    """
    settings = load_settings(settings_file(environ, home), environ)
    open_log(settings, state_folder(environ, home), private_words(settings, environ, home))
    for warning in settings.warnings:
        _LOG.warning(warning)
    engines = Engines()

    def make_local() -> "Local":
        # Imported here: a session that forwards its verbs needs no catalogue and no engine.
        from mcp_local_llm.local_parts import make_local

        return make_local(environ, home, settings, engines.keep)

    session = Session(
        lease=lease_of_user(environ, home),
        version=__version__,
        make_local=make_local,
        caller=Caller(f"pid {os.getpid()}", settings.model, settings.sampling),
        share=settings.share,
        model=model,
    )
    return App(session, settings, Delegation(session, lambda: _workplace(environ, home, settings, folder)), engines)


def compose_refusing(error: ConfigError, environ: Mapping[str, str]) -> App:
    """Make an application that refuses every verb with the error in the settings.

    A client shows a server that ends before the handshake as failed, without a reason; so the server must run.
    """
    refusal = ConfigError(f"{error} Then start this server anew: reconnect it in the client.")

    def refuse() -> NoReturn:
        raise refusal

    lease = lease_of_user(environ, Path("/"))  # Never taken.
    session = Session(lease=lease, version=__version__, make_local=refuse, caller=Caller(), share=False)
    return App(session, Settings(), Delegation(session, refuse))


def _workplace(environ: Mapping[str, str], home: Path, settings: Settings, folder: Path | None) -> "Workplace":
    """Make what this session needs for work on files; reads nothing."""
    from mcp_local_llm.delegation.workplace import Workplace
    from mcp_local_llm.files.reading.reader import file_reader
    from mcp_local_llm.files.tasks.template import Templates
    from mcp_local_llm.files.writing.state import StateFolder

    return Workplace(
        file_reader(settings, environ, cwd=folder, home=home),
        StateFolder(state_folder(environ, home)),
        Templates(user_templates(environ, home)),
        secrets.token_bytes(32),
    )
