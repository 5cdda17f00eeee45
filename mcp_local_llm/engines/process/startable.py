"""Which models can be run by a server that we start. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from mcp_local_llm.engines.process.programs import NO_LLAMA_SERVER, NO_MLX_LAUNCH, Programs
from mcp_local_llm.launch import Launch
from mcp_local_llm.model import ModelInfo


def startable_models(
    models: Sequence[ModelInfo], launches: Iterable[Launch], programs: Programs
) -> tuple[ModelInfo, ...]:
    """Return the models of this machine, those that need an absent program with that as a problem, and the launches."""
    listed = [
        replace(model, problems=(*model.problems, NO_LLAMA_SERVER))
        if model.format == "gguf" and programs.llama_server is None
        else model
        for model in models
    ]
    return (*listed, *(_launched(launch, models, programs) for launch in launches))


def _launched(launch: Launch, models: Iterable[ModelInfo], programs: Programs) -> ModelInfo:
    """Describe the model of a launch by its files on this machine, which hold the whole of it."""
    here = next((model for model in models if _is(model, launch.model)), None)
    missing = () if programs.mlx_launch else (NO_MLX_LAUNCH,)
    if here is None:
        absent = f"{launch.model} is not on this machine; every machine of the launch needs its files first"
        return ModelInfo(launch.model_id, Path(), "launch", launch=launch, problems=(*missing, absent))
    problems = (*missing, *here.problems, *(("a launch runs MLX models only",) if here.format != "mlx" else ()))
    return replace(here, id=launch.model_id, source="launch", launch=launch, problems=problems, diagnostic=False)


def _is(model: ModelInfo, name: str) -> bool:
    return model.id == name or str(model.path) == str(Path(name).expanduser())
