"""The facts of a model before it is loaded, which `models/find` reads from files, and the formatting of sizes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mcp_local_llm.values.cluster import Cluster
from mcp_local_llm.values.endpoint import Endpoint
from mcp_local_llm.values.visible_text import one_line

KV_ELEMENT_BYTES = 2
"""Bytes of one cached key or value, where a network does not compute in more than 16 bits."""

ModelFormat = Literal["mlx", "gguf", "unknown"]
ModelSource = Literal["builtin", "huggingface", "lmstudio", "folder", "endpoint", "cluster"]


@dataclass(frozen=True)
class Quantization:
    """How the weights are stored, e.g. 4 bits in groups of 64, mode `affine`."""

    bits: int
    group_size: int | None = None
    mode: str = "affine"

    def __str__(self) -> str:
        return f"{self.bits}-bit" if self.mode == "affine" else one_line(self.mode)


@dataclass(frozen=True)
class Serving:
    """Options of a server that is started for a model; None is the value of the settings.

    Attributes:
        context: tokens of context for each call.
        slots: requests that are answered concurrently.
        profile: name of the profile that sets the options; an attached session sends it to the lease owner.
    """

    context: int | None = None
    slots: int | None = None
    profile: str = ""


@dataclass(frozen=True)
class ModelInfo:
    """One model: on this machine, as its files describe it, or on an endpoint, as its server describes it.

    Attributes:
        id: e.g. `mlx-community/Qwen3-8B-4bit`; unique in the catalogue.
        path: the folder (or the GGUF file) that an engine loads; empty where an endpoint serves the model.
        weight_bytes: exact size of the weight files, in bytes.
        parameters: number of weights; None where the files do not show it.
        active_parameters: weights that are used for one token, fewer than `parameters` for a mixture of experts.
        active_bytes: bytes of weights read for one token; fewer than `weight_bytes` for a mixture of experts.
        kv_bytes_per_token: bytes of KV cache for one token at 16 bits; None where the files do not show it.
        context_length: the longest sequence, in tokens; None where the files do not show it.
        templates: the chat templates by name, `default` among them, where the tokenizer would not find them by itself.
        chat_template: there is a chat template, so the model can converse.
        thinking: the chat template supports a reasoning block; `tool_calling`: it supports tools.
        problems: why the model cannot be chosen (a partial download, remote code); empty for a sound one.
        diagnostic: made for tests and diagnosis; any other model is preferred.
        endpoint: the server that serves it; None for a model whose files are here.
        cluster: the machines that its weights are divided among; None for a model on one machine.
        serving: options of its server beyond the settings.
    """

    id: str
    path: Path
    source: ModelSource
    format: ModelFormat = "mlx"
    weight_bytes: int = 0
    architecture: str = "unknown"
    parameters: int | None = None
    active_parameters: int | None = None
    active_bytes: int | None = None
    quantization: Quantization | None = None
    kv_bytes_per_token: int | None = None
    context_length: int | None = None
    templates: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    chat_template: bool = True
    tool_calling: bool = False
    thinking: bool = False
    problems: tuple[str, ...] = ()
    diagnostic: bool = False
    endpoint: Endpoint | None = None
    cluster: Cluster | None = None
    serving: Serving = Serving()

    def __post_init__(self) -> None:
        """Keep what a model's files or its server say of it from passing for a line of this program's."""
        object.__setattr__(self, "id", one_line(self.id))
        object.__setattr__(self, "architecture", one_line(self.architecture))
        object.__setattr__(self, "problems", tuple(map(one_line, self.problems)))

    @property
    def sparse(self) -> bool:
        """Whether it is a mixture of experts, which uses only some of the weights for a token."""
        return None not in (self.active_parameters, self.parameters) and self.active_parameters != self.parameters

    @property
    def usable(self) -> bool:
        """Whether it may be chosen."""
        return not self.problems

    @property
    def converses(self) -> bool:
        """Whether it can read messages; without a chat template it continues raw text alone.

        For a GGUF file without a template llama-server uses one of its own.
        """
        return self.chat_template or self.format == "gguf"

    @property
    def chats(self) -> bool:
        """Whether it may be chosen for conversations."""
        return self.usable and self.converses

    @property
    def started(self) -> bool:
        """Whether it runs on a server that is started for it."""
        return self.endpoint is None and (self.format == "gguf" or self.cluster is not None)

    def serves(self, wanted: "ModelInfo") -> bool:
        """Return whether this model, once loaded, can answer requests for `wanted`."""
        asked, own = wanted.serving, self.serving
        set_up = asked.context in (None, own.context) and asked.slots in (None, own.slots)
        return self.id == wanted.id and (set_up or not self.started)


@dataclass(frozen=True)
class FoundModels:
    """Models from one source, and a warning for each part of it that could not be read."""

    models: tuple[ModelInfo, ...]
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Keep a path on its line."""
        object.__setattr__(self, "warnings", tuple(map(one_line, self.warnings)))


def endpoint_model(endpoint: Endpoint, served_name: str, context_length: int | None = None) -> ModelInfo:
    """Return the model that `endpoint` calls `served_name`; its memory and abilities are not known here.

    Args:
        endpoint: its own `context_length` wins.
        served_name: the server's name of the model.
        context_length: what the server tells.
    """
    return ModelInfo(
        id=endpoint.model_id(served_name),
        path=Path(),
        source="endpoint",
        format="unknown",
        context_length=endpoint.context_length or context_length,
        endpoint=endpoint,
    )


def human_bytes(count: int) -> str:
    """Format a number of bytes in decimal units, as disks and model cards do (1 GB = 10^9 bytes)."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.95:
            return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def human_count(count: int) -> str:
    """Format a number of parameters as model names do: 890k, 7.6B."""
    for limit, unit in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= limit:
            return f"{count / limit:.3g}{unit}"
    return str(count)


UNKNOWN_KV_BYTES = 128 * 1024
"""KV cache per token where a model's files do not show it: between Qwen3-30B-A3B (96 KiB) and a dense 32B (256 KiB)."""
