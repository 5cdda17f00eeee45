"""Finds the folders whose files a session may read and write, and says why others do not count.

A client tells its project by CLAUDE_PROJECT_DIR or by the folder that it starts a server in. Both may be something
else: the home folder, `/`, or a package manager's cache. Those never count; what the user's settings name does.
"""

import fcntl
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp_local_llm.setup.places import xdg_folder

PROJECT_VARIABLE = "CLAUDE_PROJECT_DIR"
SYSTEM_FOLDERS = (Path("/proc"), Path("/sys"), Path("/dev"))
"""Their files are the kernel's: memory, environments with keys, devices. They are never read."""

PACKAGE = Path(__file__).parents[2]
SHARED_TEMP = tuple(Path("/", *top, "tmp") for top in ((), ("var",), ("private",), ("private", "var")))
TEMP_VARIABLES = ("TMPDIR", "TEMP", "TMP")
"""Name another folder for them, the first that is set."""

_LONGEST_PATH = 1024
REMEDY = "Name a folder in the setting `roots`, or start the agent in the project's folder."


@dataclass(frozen=True)
class RefusedRoot:
    """A folder that does not count. `source` is where it comes from; `reason` completes "it …"."""

    path: str
    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} ({self.source}) does not count: it {self.reason}"


@dataclass(frozen=True)
class Roots:
    """The folders that allow files.

    Attributes:
        folders: absolute and without links; the project comes first, relative names belong to the first.
        refused: folders that do not count.
        home: the user's home folder, for names that begin with `~/`.
    """

    folders: tuple[Path, ...]
    refused: tuple[RefusedRoot, ...] = ()
    home: Path = Path("/")

    @property
    def base(self) -> Path | None:
        """The folder that relative names belong to."""
        return self.folders[0] if self.folders else None

    def root_of(self, resolved: Path) -> Path | None:
        """Return the innermost root in which a resolved path lies, compared by whole components."""
        found = [root for root in self.folders if resolved.is_relative_to(root)]
        return max(found, key=lambda root: len(root.parts), default=None)

    def told(self) -> str:
        """Say which folders count and why others do not, for refusals and for the status."""
        if self.folders:
            counted = f"Files are read and written in {', '.join(map(str, self.folders))}."
        else:
            counted = f"There is no folder whose files may be read. {REMEDY}"
        return " ".join([counted, *(f"{refused}." for refused in self.refused)])


def find_roots(
    environ: Mapping[str, str], *, cwd: Path | None, home: Path, more: Iterable[Path] = (), temp: Path | None = None
) -> Roots:
    """Find the roots of a session.

    Args:
        environ: the process's environment.
        cwd: the folder that the process was started in; None where it is gone.
        home: the user's home folder.
        more: the setting `roots`; these count wherever they are, except in /proc, /sys and /dev.
        temp: the folder for temporary files; None for the system's.
    """
    named = environ.get(PROJECT_VARIABLE, "").strip()
    source = PROJECT_VARIABLE if named else "the working folder"
    project = Path(named) if named else cwd
    candidates: list[tuple[Path, str]] = [] if project is None else [(project, source)]
    candidates += [(path, "the setting `roots`") for path in more]
    temps = (temp or _temp_folder(environ), *SHARED_TEMP)
    folders: list[Path] = []
    refused: list[RefusedRoot] = []
    for path, origin in candidates:
        reason = _not_a_folder(path)
        if reason is None and origin == source:
            reason = _no_project(path, home, temps, tuple(_caches(environ, home)))
        if reason is not None:
            refused.append(RefusedRoot(str(path), origin, reason))
        elif (resolved := _as_the_kernel_spells(path)) not in folders:
            folders.append(resolved)
    return Roots(tuple(folders), tuple(refused), home)


def without_links(path: Path) -> Path:
    """Return where a path leads to, as far as it exists; a path that is being replaced is only tidied up."""
    try:
        return Path(os.path.realpath(path))
    except OSError:  # it was a link when it was looked at, and none when it was read
        return Path(os.path.normpath(path))


def kernel_place(handle: int) -> Path:
    """Ask the kernel where an open file or folder is.

    Raises:
        OSError: it does not tell.
    """
    if sys.platform == "darwin":
        raw = fcntl.fcntl(handle, fcntl.F_GETPATH, bytes(_LONGEST_PATH))
        return Path(os.fsdecode(raw.partition(b"\0")[0]))
    return Path(os.readlink(f"/proc/self/fd/{handle}"))


def place_of(handle: int) -> Path | None:
    """Return where an open file or folder is; None where the kernel does not tell."""
    try:
        place = kernel_place(handle)
    except OSError:
        return None
    return place if place.is_absolute() else None


def _as_the_kernel_spells(folder: Path) -> Path:
    """Return a folder without links, in the upper and lower case and the Unicode form in which it exists.

    A disk may not care about either, and a file is compared with the root as the kernel spells it.
    """
    resolved = without_links(folder)
    try:
        handle = os.open(resolved, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return resolved
    try:
        return place_of(handle) or resolved
    finally:
        os.close(handle)


def _temp_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder for temporary files; `tempfile.gettempdir` would write a file into it to find out."""
    named = (Path(environ.get(variable, "")) for variable in TEMP_VARIABLES)
    return next((folder for folder in named if folder.is_absolute()), SHARED_TEMP[0])


def in_system_folder(path: Path) -> bool:
    """Whether a path lies in /proc, /sys or /dev; it is compared as it is written."""
    return any(path.is_relative_to(folder) for folder in SYSTEM_FOLDERS)


def _not_a_folder(path: Path) -> str | None:
    if not path.is_absolute():
        return "is not an absolute path"
    try:
        if not path.is_dir():
            return "is not a folder"
        if in_system_folder(without_links(path)):
            return "belongs to the system's kernel"
    except (OSError, ValueError):
        return "cannot be read"
    return None


def _no_project(path: Path, home: Path, temps: Iterable[Path], caches: Iterable[Path]) -> str | None:
    """Return why a folder is not taken for a project; folders are compared by identity, whatever they are called."""
    own = _identity(path)
    resolved = without_links(path)
    above = {_identity(folder) for folder in (resolved, *resolved.parents)}
    real_home = without_links(home)
    if resolved == Path("/"):
        return "is the root of the file system"
    if own in {_identity(folder) for folder in temps} - {None}:
        return "is the folder of temporary files"
    if own == _identity(real_home):
        return "is the home folder"
    if own in {_identity(folder) for folder in real_home.parents}:
        return "holds the home folder"
    if any(_identity(cache) in above for cache in caches if _identity(cache) is not None):
        return "lies in the cache of a package manager"
    if _identity(PACKAGE) in above:
        return "lies in this server's own package"
    return None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _caches(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Yield the caches of uv, pip and npm, where their variables or their defaults have them."""
    for variable in ("UV_CACHE_DIR", "PIP_CACHE_DIR", "npm_config_cache", "NPM_CONFIG_CACHE"):
        if (named := environ.get(variable, "")) and Path(named).is_absolute():
            yield Path(named)
    yield home / ".npm"
    for folder in (
        xdg_folder(environ, "XDG_CACHE_HOME", home / ".cache"),
        home / ".cache",
        home / "Library" / "Caches",
    ):
        yield folder / "uv"
        yield folder / "pip"
