"""The composition of the check-up: which file, program and server each of its facts comes from. Read-only.

A part of the composition root, apart from `app.py` because only `doctor` needs it: it must work where the settings do
not, and it looks at things that no other command looks at.
"""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import anyio

from mcp_local_llm import __version__
from mcp_local_llm.doctor import Claude, Finding, Setup, Sources, Surveyed, gather, report
from mcp_local_llm.doctor.claude_config import names_this_server
from mcp_local_llm.doctor.setup_checks import CUDA
from mcp_local_llm.engines.http import list_endpoint, look_at_ports
from mcp_local_llm.ground import Ground
from mcp_local_llm.llm.remote import Remote
from mcp_local_llm.models.roles import read_registry
from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.setup.settings import Settings, load_settings, read_settings_file
from mcp_local_llm.values.errors import ConfigError

CUDA_PACKAGES = ("mlx-cuda", "mlx-cuda-12", "mlx-cuda-13")
"""Each release of CUDA has its own build of MLX."""
MAX_CLAUDE_BYTES = 64 * 2**20
"""Claude Code keeps its history in the same file."""
IMPORT_ENGINE = "import mlx.core, mlx_lm"
IMPORT_TIMEOUT_S = 60.0
"""Seconds that the import may take; a cold disk needs about ten."""
GPU_FILES = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""One of them is there where Linux has an NVIDIA GPU; the last one on WSL."""


def read_setup(file: Path, environ: Mapping[str, str]) -> Setup:
    """Read the settings; where they are wrong, say so and go on with the defaults."""
    try:
        mode = file.stat().st_mode & 0o777
    except OSError:
        mode = None
    try:
        settings = load_settings(file, environ)
        keys = frozenset(read_settings_file(file))
    except ConfigError as error:
        return Setup(file, Settings(), str(error), file_mode=mode, environ=environ)
    return Setup(file, settings, in_file=keys, file_mode=mode, environ=environ)


async def examine(ground: Ground, setup: Setup, ports: Iterable[int]) -> tuple[Finding, ...]:
    """Read everything and judge it.

    Args:
        ground: what the application stands on, with the settings of `setup`.
        setup: what the user set.
        ports: of 127.0.0.1, to look for servers on.
    """
    environ = setup.environ
    remote = Remote(ground.lease.socket, __version__, ground.lease.owner)
    sources = Sources(
        setup=setup,
        survey=partial(_survey, ground, environ),
        saved=ground.catalog.saved,
        chosen=partial(ground.catalog.chosen, setup.settings.model),
        plan=partial(ground.catalog.planner, None, ever=True),
        measured=ground.speeds.measured,
        lease=ground.lease,
        holder=remote.status,
        listed=lambda endpoint: list_endpoint(endpoint, environ),
        sightings=partial(look_at_ports, tuple(ports)),
        import_engine=partial(import_fault, environ),
    )
    return report(await gather(sources))


async def import_fault(environ: Mapping[str, str], timeout_s: float = IMPORT_TIMEOUT_S) -> str:
    """Import mlx and mlx-lm in a process of their own, which they may end; return why that failed, empty if it worked.

    Args:
        environ: of that process.
        timeout_s: seconds after which it is ended.
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
    if done.returncode >= 0:
        lines = [line.strip() for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        return (lines[-1] if lines else f"exit code {done.returncode}") if done.returncode else ""
    return f"the process was ended by {signal.Signals(-done.returncode).name}"


def _survey(ground: Ground, environ: Mapping[str, str]) -> Surveyed:
    programs = ground.programs()
    # A GGUF model lacks nothing itself: that its program is missing is told once, not with each of them.
    assumed = replace(programs, llama_server=programs.llama_server or Path("llama-server"))
    machine = ground.machine()
    return Surveyed(
        versions=_versions(),
        machine=machine,
        gpu=machine.system == "Darwin" or any(path.exists() for path in GPU_FILES),
        registry=read_registry(ground.registry),
        models=ground.find(assumed),
        llama_server=programs.llama_server,
        claude=_claude(environ, ground.home),
    )


def _versions() -> dict[str, str | None]:
    """Read the versions from the packages' metadata; importing mlx would start Metal."""
    return {
        "mcp-local-llm": __version__,
        "Python": platform.python_version(),
        "mlx": _version("mlx"),
        "mlx-lm": _version("mlx-lm"),
        CUDA: next((found for name in CUDA_PACKAGES if (found := _version(name))), None),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _claude(environ: Mapping[str, str], home: Path) -> Claude:
    here = Path(os.getcwd())
    folder = environ.get("CLAUDE_CONFIG_DIR", "")
    files = ((Path(folder) if folder else home) / ".claude.json", here / ".mcp.json")
    program = shutil.which("claude", path=environ.get("PATH", ""))
    return Claude(
        program=Path(program) if program else None,
        knows=next((file for file in files if names_this_server(_json(file), str(here))), None),
    )


def _json(file: Path) -> object:
    try:
        return json.loads(read_regular(file, MAX_CLAUDE_BYTES))
    except (OSError, ValueError, RecursionError):
        return None  # Not there, or not ours to judge.
