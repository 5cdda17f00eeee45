"""The files that start `serve` at login: a LaunchAgent on macOS, a systemd user unit on Linux.

Pure: it writes no file. The content never holds keys or tokens.

Sources: launchd.plist(5); systemd.service(5), systemd.syntax(7).
"""

import plistlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_local_llm.setup.places import xdg_folder
from mcp_local_llm.values.errors import ConfigError

LABEL = "mcp-local-llm.serve"
UNIT = "mcp-local-llm.service"
_KEPT = ("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
_OURS = "MCP_LOCAL_LLM_"
_KEY_VARIABLE = "MCP_LOCAL_LLM_API_KEY"

Command = tuple[str, ...]


@dataclass(frozen=True)
class LoginService:
    """A service that starts at login.

    Attributes:
        file, content: the path where the system looks for it, and its bytes.
        folders: folders that must exist before it starts.
        start, stop: the commands that start and stop it, in order.
        stopped: codes with which `stop` ends where the service does not run, or not any more.
        links: what the service manager makes beside the file, and may leave behind.
        forget: the commands that tell the service manager of a removed file.
    """

    file: Path
    content: bytes
    folders: tuple[Path, ...]
    start: tuple[Command, ...]
    stop: tuple[Command, ...]
    stopped: tuple[int, ...] = (0,)
    links: tuple[Path, ...] = ()
    forget: tuple[Command, ...] = ()


def login_service(
    system: str, home: Path, environ: Mapping[str, str], command: Sequence[str], uid: int
) -> LoginService:
    """Describe the service that runs `command`.

    Args:
        system: as `platform.system()`.
        home: the user's home folder.
        environ: the environment; variables that locate models and settings go into the file.
        command: program and arguments.
        uid: the user's number.

    Raises:
        ConfigError: there is no such service on this system.
    """
    kept = {name: environ[name] for name in sorted(environ) if name in _KEPT or name.startswith(_OURS)}
    kept.pop(_KEY_VARIABLE, None)
    if system == "Darwin":
        return _launch_agent(home, kept, command, uid)
    if system == "Linux":
        return _user_unit(home, kept, command)
    raise ConfigError(f"There is no service to install on {system}. Run `mcp-local-llm serve` by other means.")


def _launch_agent(home: Path, environ: Mapping[str, str], command: Sequence[str], uid: int) -> LoginService:
    file = home / "Library" / "LaunchAgents" / f"{LABEL}.plist"
    logs = home / "Library" / "Logs" / "mcp-local-llm"
    agent = {
        "Label": LABEL,
        "ProgramArguments": list(command),
        "EnvironmentVariables": dict(environ),
        "RunAtLoad": True,
        # Started again after a crash, but not after an end that was asked for.
        "KeepAlive": {"SuccessfulExit": False},
        # Background would be throttled: fewer cores, slower disk, no answer worth waiting for.
        "ProcessType": "Interactive",
        "StandardOutPath": str(logs / "serve.log"),
        "StandardErrorPath": str(logs / "serve.log"),
    }
    domain = f"gui/{uid}"
    return LoginService(
        file=file,
        content=plistlib.dumps(agent),
        folders=(logs,),
        start=(("launchctl", "bootstrap", domain, str(file)),),
        stop=(("launchctl", "bootout", f"{domain}/{LABEL}"),),
        # launchctl error: 3 is "No such process", 113 "Could not find specified service".
        stopped=(0, 3, 113),
    )


def _user_unit(home: Path, environ: Mapping[str, str], command: Sequence[str]) -> LoginService:
    config = xdg_folder(environ, "XDG_CONFIG_HOME", home / ".config")
    settings = "".join(f"Environment={_quoted(f'{name}={value}', program=False)}\n" for name, value in environ.items())
    # Exit code 2 says that an argument or a setting is wrong: it would be as wrong the next time.
    content = f"""[Unit]
Description=mcp-local-llm, one resident local model

[Service]
ExecStart={" ".join(_quoted(part) for part in command)}
{settings}Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2
TimeoutStopSec=10

[Install]
WantedBy=default.target
"""
    control: Command = ("systemctl", "--user")
    units = config / "systemd" / "user"
    return LoginService(
        file=units / UNIT,
        content=content.encode(),
        folders=(),
        start=((*control, "daemon-reload"), (*control, "enable", "--now", UNIT)),
        stop=((*control, "disable", "--now", UNIT),),
        links=(units / "default.target.wants" / UNIT,),
        forget=((*control, "daemon-reload"),),
    )


def _quoted(text: str, *, program: bool = True) -> str:
    """Quote for systemd; variables are expanded in command lines only."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("%", "%%")
    return f'"{escaped.replace("$", "$$") if program else escaped}"'
