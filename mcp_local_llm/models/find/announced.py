"""A model that is not here yet, as far as its config.json and the names of its files tell it. Pure."""

from collections.abc import Collection
from pathlib import Path

from mcp_local_llm.models.find import config as configs
from mcp_local_llm.models.find.files import JsonObject
from mcp_local_llm.models.find.folder import foreign
from mcp_local_llm.values.model import ModelInfo


def announced_model(
    name: str, config: JsonObject, names: Collection[str], weight_bytes: int, architectures: Collection[str] | None
) -> ModelInfo:
    """Describe a model before its weights are there, enough to compare it with memory and to refuse what cannot run.

    Args:
        name: of its repository.
        config: the content of its config.json.
        names: of its files.
        weight_bytes: exact size of its weights, in bytes.
        architectures: every `model_type` that the engine runs, or None if that is not known.

    Returns:
        The model without a path; `problems` says why it would not run, in the words of the list of models.
    """
    text = configs.text_part(config)
    problems = [] if config else ["config.json is missing"]
    return ModelInfo(
        id=name,
        path=Path(),
        source="huggingface",
        weight_bytes=weight_bytes,
        architecture=configs.architecture(config),
        quantization=configs.quantization(config),
        kv_bytes_per_token=configs.kv_bytes_per_token(text),
        context_length=configs.context_length(text),
        problems=(*problems, *foreign(names, config, architectures)),
    )
