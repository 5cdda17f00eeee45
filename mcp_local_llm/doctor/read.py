"""Reads the facts that only the check-up needs: settings as they are written, installed packages, Claude Code."""

import json
import os
import platform
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, cast

import anyio

from mcp_local_llm import __version__
from mcp_local_llm.doctor import ClaudeCode, Setup
from mcp_local_llm.doctor.setup_checks import CUDA
from mcp_local_llm.setup.places import working_folder
from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.setup.settings import Settings
from mcp_local_llm.setup.settings_file import load_settings
from mcp_local_llm.values.errors import ConfigError
from mcp_local_llm.wire.json_values import as_object

CUDA_PACKAGES = ("mlx-cuda", "mlx-cuda-12", "mlx-cuda-13")
"""Each release of CUDA has its own build of MLX."""


MAX_CLAUDE_BYTES = 64 * 2**20
"""Claude Code keeps its history in the same file."""


IMPORTED = b"all is here"
IMPORT_ENGINE = f"""
import resource
# The engine lets mlx-lm neither change the limit of open files nor fail at it.
resource.setrlimit = lambda *_: None
import mlx.core, mlx_lm, llguidance
print({IMPORTED.decode()!r}, flush=True)
"""
"""Says so at its end: an import may end the process as if all were well."""


IMPORT_TIMEOUT_S = 60.0
"""Seconds that the import may take; a cold disk needs about ten."""


GPU_FILES = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""One of them exists where Linux has an NVIDIA GPU; the last one on WSL."""


def read_setup(file: Path, environ: Mapping[str, str]) -> Setup:
    """Read the settings; where they are wrong, return the error with the defaults."""
    try:
        mode = file.stat().st_mode & 0o777
    except OSError:
        mode = None
    try:
        settings = load_settings(file, environ)
    except ConfigError as error:
        return Setup(file, Settings(), str(error), file_mode=mode, environ=environ)
    return Setup(file, settings, file_mode=mode, environ=environ)


async def import_fault(environ: Mapping[str, str], timeout_s: float = IMPORT_TIMEOUT_S) -> str:
    """Import mlx and mlx-lm in a child process, which a failed import may end; return the fault, empty for none.

    Args:
        environ: of the child process.
        timeout_s: seconds after which the child process is ended.
    """
    # -P and the root folder: a file in the working folder must not be taken for a package.
    command = [sys.executable, "-P", "-c", IMPORT_ENGINE]
    try:
        with anyio.fail_after(timeout_s):
            done = await anyio.run_process(command, stdin=subprocess.DEVNULL, check=False, cwd="/", env=environ)
    except TimeoutError:
        return f"it did not end within {timeout_s:g} s"
    except OSError as error:
        return f"{sys.executable} cannot be started: {error.strerror}"
    if done.stdout.rstrip().endswith(IMPORTED):
        return ""
    if done.returncode >= 0:
        lines = [line.strip() for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines and done.returncode else f"exit code {done.returncode}"
    return f"the process was ended by {signal.Signals(-done.returncode).name}"


def versions() -> dict[str, str | None]:
    """Read the versions from the packages' metadata; importing mlx would start Metal."""
    return {
        "mcp-local-llm": __version__,
        "Python": platform.python_version(),
        "mlx": _version("mlx"),
        "mlx-lm": _version("mlx-lm"),
        CUDA: next((found for name in CUDA_PACKAGES if (found := _version(name))), None),
    }


def platform_facts() -> dict[str, str]:
    """Read what a maintainer asks of a platform: system, Python, encoding, limits, and the versions of packages."""
    try:
        needed = requires(PROGRAM) or []
    except PackageNotFoundError:  # Started from a folder that is not installed.
        needed = []
    names = sorted({*_ENGINE_PACKAGES, *(_PACKAGE_END.split(text, maxsplit=1)[0] for text in needed)})
    return {
        "system": platform.platform(),
        "Python": f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}",
        "package": str(Path(__file__).parents[1]),
        "encoding": f"{sys.stdout.encoding}, files {sys.getfilesystemencoding()}, LANG {os.environ.get('LANG', '')}",
        "open files": " of ".join(map(str, resource.getrlimit(resource.RLIMIT_NOFILE))),
        **{name: found for name in names if (found := _version(name))},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def claude_settings(environ: Mapping[str, str], home: Path) -> ClaudeCode:
    """Find Claude Code, and a file of its settings that names this server; its command is never run."""
    here = working_folder() or Path(os.sep)
    folder = environ.get("CLAUDE_CONFIG_DIR", "")
    files = ((Path(folder) if folder else home) / ".claude.json", here / ".mcp.json")
    program = shutil.which("claude", path=environ.get("PATH", ""))
    return ClaudeCode(
        program=Path(program) if program else None,
        configured_in=next((file for file in files if names_this_server(_json(file), str(here))), None),
    )


def _json(file: Path) -> object:
    try:
        return json.loads(read_regular(file, MAX_CLAUDE_BYTES))
    except (OSError, ValueError, RecursionError):
        return None  # A file that is missing or broken names no server.


PROGRAM = "mcp-local-llm"


MODULE = "mcp_local_llm"

_ENGINE_PACKAGES = ("numpy", "tokenizers", "transformers")
"""Packages that mlx-lm needs."""
_PACKAGE_END = re.compile(r"[^\w.-]")
"""What ends the name of a package in a requirement."""


def names_this_server(value: object, project: str) -> bool:
    """Return whether `.claude.json` or `.mcp.json` names this server, for all folders or for the folder `project`."""
    settings = as_object(value)
    own = as_object(as_object(settings.get("projects")).get(project))
    tables = (as_object(settings.get("mcpServers")), as_object(own.get("mcpServers")))
    return any(_starts_us(as_object(entry)) for table in tables for entry in table.values())


def _starts_us(entry: Mapping[str, Any]) -> bool:
    arguments = entry.get("args")
    words = [entry.get("command"), *(cast(list[object], arguments) if isinstance(arguments, list) else [])]
    return any(PROGRAM in word or MODULE in word for word in words if isinstance(word, str))
