"""The answer of `GET /models` → the models of a server. Pure."""

from dataclasses import dataclass

from mcp_local_llm.wire.json_values import JsonObject, as_count, as_list, as_object, as_text

_OTHER_KINDS = ("embed", "rerank", "whisper", "tts")
"""Parts of names of models that do not chat; servers list them beside the others."""


@dataclass(frozen=True)
class ServedModel:
    """A model as a server lists it; `context_length` is in tokens, None where the server does not tell."""

    name: str
    context_length: int | None = None


def read_models(value: object) -> tuple[ServedModel, ...]:
    """Return the models that can chat, each once, in the server's order.

    Raises:
        ValueError: it is no list of models.
    """
    data = as_object(value)
    if not isinstance(data.get("data"), list):
        raise ValueError("no list of models")
    found: dict[str, ServedModel] = {}
    for entry in map(as_object, as_list(data["data"])):
        name = as_text(entry.get("id"))
        if name and not any(part in name.lower() for part in _OTHER_KINDS):
            found.setdefault(name, ServedModel(name, _context_length(entry)))
    return tuple(found.values())


def _context_length(entry: JsonObject) -> int | None:
    """Read the window: vLLM says `max_model_len`, llama-server `meta.n_ctx_train`, OpenRouter `context_length`."""
    told = (entry.get("max_model_len"), as_object(entry.get("meta")).get("n_ctx_train"), entry.get("context_length"))
    return next((count for count in map(as_count, told) if count), None)
