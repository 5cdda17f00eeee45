"""The tools that check what is shipped: pip-audit and uv, in an environment of their own (`supply.lock`)."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
TOOLS = ROOT / ".cache" / "supply"

UNREACHABLE = ("error sending request", "dns error", "client error (connect)", "operation timed out")
"""What uv says where no package index can be reached."""


def tool(name: str) -> Path | None:
    """Return the path of a tool, which is installed first if need be; None where that fails, and pip has said why."""
    made = subprocess.run(
        [ROOT / "release" / "environment.sh", sys.executable, TOOLS, ROOT / "release" / "supply.lock"]
    )
    return TOOLS / "bin" / name if made.returncode == 0 else None


def uv_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which uv uses the package index and the certificates that pip uses."""
    own = {
        "UV_CACHE_DIR": str(TOOLS.with_name("supply-downloads")),
        # What mlx asks for.
        "MACOSX_DEPLOYMENT_TARGET": "14.0",
    }
    for theirs, ours in (("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), ("PIP_CERT", "SSL_CERT_FILE")):
        if theirs in environ and ours not in environ:
            own[ours] = environ[theirs]
    return {**environ, **own}


def uv(program: Path, *arguments: str | Path) -> str | None:
    """Run uv; None where it could not reach a package index.

    Raises:
        SystemExit: it failed for another reason, which it told.
    """
    done = subprocess.run([program, *arguments], env=uv_environ(os.environ), capture_output=True, text=True, cwd=ROOT)
    if done.returncode == 0:
        return done.stdout + done.stderr
    if any(words in done.stderr.lower() for words in UNREACHABLE):
        return None
    sys.exit(f"uv {' '.join(map(str, arguments))}\n{done.stderr}")
