"""The programs that run servers: where they are, and what is missing without them."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NO_LLAMA_SERVER = (
    "llama-server is not installed: get it with `brew install llama.cpp` or from the releases of "
    "github.com/ggml-org/llama.cpp, or name it with the setting llama_server"
)
NO_MLX_LAUNCH = "mlx.launch is not installed: it comes with mlx, so install mcp-local-llm with its dependencies again"


@dataclass(frozen=True)
class Programs:
    """Where the programs are; None for one that is not here."""

    llama_server: Path | None = None
    mlx_launch: Path | None = None


def find_programs(environ: Mapping[str, str], *, llama_server: Path | None, beside: Path) -> Programs:
    """Look for the programs.

    Args:
        environ: its PATH is searched.
        llama_server: where the user says that it is; then it is looked for nowhere else.
        beside: the folder of our interpreter, which holds the commands of installed packages.
    """
    path = environ.get("PATH", "")
    named = None if llama_server is None else str(llama_server)
    return Programs(
        llama_server=_path(shutil.which(named or "llama-server", path=path)),
        mlx_launch=_path(shutil.which("mlx.launch", path=str(beside)) or shutil.which("mlx.launch", path=path)),
    )


def _path(found: str | None) -> Path | None:
    return Path(found) if found else None
