"""Which models can be run by a server that we start. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from mcp_local_llm.engines.servers.programs import NO_LLAMA_SERVER, NO_MLX_LAUNCH, Programs
from mcp_local_llm.values.cluster import Cluster
from mcp_local_llm.values.model import ModelInfo


def startable_models(
    models: Sequence[ModelInfo], clusters: Iterable[Cluster], programs: Programs
) -> tuple[ModelInfo, ...]:
    """Return the models of this machine and of the clusters; an absent program is a problem of those that need it."""
    listed = [
        replace(model, problems=(*model.problems, NO_LLAMA_SERVER))
        if model.format == "gguf" and programs.llama_server is None
        else model
        for model in models
    ]
    return (*listed, *(_of_cluster(cluster, models, programs) for cluster in clusters))


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
    return model.id == name or str(model.path) == str(Path(name).expanduser())
