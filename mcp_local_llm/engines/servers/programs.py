"""Finds the programs that run servers, and lists the models that can be started with them."""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mcp_local_llm.values.cluster import Cluster
from mcp_local_llm.values.model import ModelInfo

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
        llama_server: the path from the settings; then PATH is not searched.
        beside: the folder of our interpreter, which holds the commands of installed packages.
    """
    path = environ.get("PATH", "")
    named = None if llama_server is None else str(llama_server)
    return Programs(
        llama_server=_path(shutil.which(named or "llama-server", path=path)),
        mlx_launch=_path(shutil.which("mlx.launch", path=str(beside)) or shutil.which("mlx.launch", path=path)),
    )


def startable_models(
    models: Sequence[ModelInfo], clusters: Iterable[Cluster], programs: Programs
) -> tuple[ModelInfo, ...]:
    """Return the models of this machine and of the clusters; a missing program is a problem of its models."""
    listed = [
        replace(model, problems=(*model.problems, NO_LLAMA_SERVER))
        if model.format == "gguf" and programs.llama_server is None
        else model
        for model in models
    ]
    return (*listed, *(_of_cluster(cluster, models, programs) for cluster in clusters))


def _path(found: str | None) -> Path | None:
    return Path(found) if found else None


def _of_cluster(cluster: Cluster, models: Iterable[ModelInfo], programs: Programs) -> ModelInfo:
    """Describe the model of a cluster by its files on this machine, which hold the whole of it."""
    here = next((model for model in models if _is(model, cluster.model)), None)
    missing = () if programs.mlx_launch else (NO_MLX_LAUNCH,)
    if here is None:
        absent = f"{cluster.model} is not on this machine; every machine of the cluster needs its files first"
        return ModelInfo(cluster.model_id, Path(), "cluster", cluster=cluster, problems=(*missing, absent))
    problems = (*missing, *here.problems, *(("a cluster runs MLX models only",) if here.format != "mlx" else ()))
    return replace(here, id=cluster.model_id, source="cluster", cluster=cluster, problems=problems, diagnostic=False)


def _is(model: ModelInfo, name: str) -> bool:
    return model.id == name or str(model.path) == os.path.expanduser(name)
