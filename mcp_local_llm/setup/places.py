"""The paths of this user's files: settings, state, caches, lease and prompts. It reads no file but prompts."""

import os
from collections.abc import Mapping
from pathlib import Path

from mcp_local_llm.values.errors import ConfigError

PACKAGED = Path(__file__).parents[1] / "prompts"
CHECKOUT = Path(__file__).parents[2] / "prompts"


TASKS = "tasks"
"""The folder of task templates in `prompts/`; the slash commands lie beside it."""


def user_home() -> Path:
    """Return the home folder of the user of this process.

    Raises:
        ConfigError: nothing names it, as in a container whose user has no entry in the list of users, or HOME is a
            relative path, which would be another folder in each working folder.
    """
    try:
        home = Path.home()
    except RuntimeError:
        home = Path()
    if not home.is_absolute():
        raise ConfigError("The home folder of this user is not known. Set HOME to the whole path of it.")
    return home


def working_folder() -> Path | None:
    """Return the folder that this process was started in; None where it was removed."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return None


def prompt_names(below: str = "") -> tuple[str, ...]:
    """Return the names of all prompts of this installation, or those of a folder below, such as `TASKS`."""
    found = (path.stem for folder in (PACKAGED, CHECKOUT) for path in (folder / below).glob("*.md"))
    return tuple(sorted(set(found)))


def read_prompt(name: str, below: str = "") -> str:
    """Return the text of `prompts/NAME.md`, or of that name in a folder below.

    Raises:
        FileNotFoundError: the installation lacks it.
    """
    return read_packaged(str(Path(below, f"{name}.md")))


def split_front_matter(text: str) -> tuple[dict[str, str], str]:
    """Split off the `key: value` lines between two lines of three dashes at the top, if there are any."""
    if not text.startswith("---\n"):
        return {}, text
    front, _, rest = text[4:].partition("\n---\n")
    pairs = (line.partition(":") for line in front.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}, rest.lstrip("\n")


def read_packaged(name: str) -> str:
    """Return the text of the file `prompts/NAME`.

    Raises:
        FileNotFoundError: the installation lacks it.
    """
    for folder in (PACKAGED, CHECKOUT):
        path = folder / name
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise FileNotFoundError(f"prompts/{name} is neither in {PACKAGED} nor in {CHECKOUT}")


def user_templates(environ: Mapping[str, str], home: Path) -> Path:
    """Return the folder of the user's own task templates."""
    return xdg_folder(environ, "XDG_CONFIG_HOME", home / ".config") / "mcp-local-llm" / "templates"


def prefix_folder(environ: Mapping[str, str], home: Path, system: str) -> Path:
    """Return the folder of the prefix cache on disk; `system` as `platform.system()`.

    It is in the cache folder of this user, which backups leave out.
    """
    default = home / "Library" / "Caches" if system == "Darwin" else home / ".cache"
    return xdg_folder(environ, "XDG_CACHE_HOME", default) / "mcp-local-llm" / "prefixes"


def settings_file(environ: Mapping[str, str], home: Path) -> Path:
    """Return the path of the settings file."""
    return xdg_folder(environ, "XDG_CONFIG_HOME", home / ".config") / "mcp-local-llm" / "config.toml"


def xdg_folder(environ: Mapping[str, str], variable: str, default: Path) -> Path:
    """Return the folder that an XDG variable names, else `default`."""
    named = environ.get(variable, "")
    # The XDG specification: a path that is not absolute is invalid and ignored.
    return Path(named) if Path(named).is_absolute() else default


def from_home(text: str, home: Path) -> Path:
    """Return the path that a text names; `~/` at its beginning stands for `home`."""
    return home / text[2:] if text.startswith("~/") else Path(text)


def hugging_face_folder(environ: Mapping[str, str], home: Path) -> Path:
    """Return the folder in which huggingface_hub keeps its cache and token: HF_HOME, else one in the cache folder."""
    if named := environ.get("HF_HOME"):
        return from_home(named, home)
    # As huggingface_hub takes it, a path that is not absolute among them.
    return from_home(environ.get("XDG_CACHE_HOME") or "~/.cache", home) / "huggingface"


def registry_path(environ: Mapping[str, str], home: Path) -> Path:
    """Return the path of the registry, which other tools share."""
    return xdg_folder(environ, "XDG_CONFIG_HOME", home / ".config") / "ai-stack" / "registry.json"


LOCK = "holder.lock"
SOCKET = "holder.sock"
MAX_SOCKET_PATH = 103
"""Longest path of a Unix socket in bytes: `sun_path` has 104 on macOS and 108 on Linux, one of them for the end."""


def runtime_folder(environ: Mapping[str, str], home: Path, *, system: str, uid: int) -> Path:
    """Return the per-user folder for the lock and the socket.

    XDG_RUNTIME_DIR where it is set (it is private and emptied at logout), else the user's cache folder. The
    path of a socket has a limit, so a very long home falls back to a folder in /tmp that only this user may enter.

    Args:
        environ: the process's environment.
        home: the user's home folder.
        system: as `platform.system()`.
        uid: user id.
    """
    named = Path(environ.get("XDG_RUNTIME_DIR", ""))
    if named.is_absolute():
        folder = named / "mcp-local-llm"
    elif system == "Darwin":
        folder = home / "Library" / "Caches" / "mcp-local-llm"
    else:
        folder = home / ".cache" / "mcp-local-llm" / "run"
    if len(os.fsencode(folder / SOCKET)) > MAX_SOCKET_PATH:
        return Path("/", "tmp", f"mcp-local-llm-{uid}")
    return folder


def state_folder(environ: Mapping[str, str], home: Path) -> Path:
    """Return the folder of files that are kept between runs."""
    return xdg_folder(environ, "XDG_STATE_HOME", home / ".local" / "state") / "mcp-local-llm"


def choice_file(environ: Mapping[str, str], home: Path) -> Path:
    """Return the file of the saved choice, which other tools read as well."""
    return xdg_folder(environ, "XDG_CONFIG_HOME", home / ".config") / "mlx-mcp" / "active_model"
