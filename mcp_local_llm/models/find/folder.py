"""Describes a folder of safetensors weights as a `ModelInfo`, with its faults as sentences."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from mcp_local_llm.models.find import config as configs
from mcp_local_llm.models.find.files import (
    MAX_JSON_BYTES,
    JsonObject,
    ListFolder,
    UnreadableError,
    children,
    is_lfs_pointer,
    lfs_pointer,
    read_object,
    section,
    size_of,
)
from mcp_local_llm.models.find.loadable import TEMPLATES_IN_CODE, unsupported
from mcp_local_llm.models.find.purpose import other_purpose
from mcp_local_llm.models.find.template import has_thinking, read_templates, reads_tools
from mcp_local_llm.models.find.weights import Tensor, Weights, read_tensors, weigh
from mcp_local_llm.values.model import ModelInfo, ModelSource

_WEIGHTS = re.compile(r"model.*\.safetensors")
_SHARD = re.compile(r"(model.*)-(\d{5})-of-(\d{5})\.safetensors")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tiktoken.model", "tekken.json")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_UNFINISHED = (".incomplete", ".part", ".partial", ".download", ".aria2")
_READ_WHOLE = frozenset(
    {
        *_TOKENIZERS,
        *("config.json", "generation_config.json", "tokenizer_config.json", "chat_template.jinja"),
        *("chat_template.json", "special_tokens_map.json", "added_tokens.json", "merges.txt"),
        *("hf_quant_config.json", "processor_config.json"),
        "model.safetensors.index.json",
    }
)
"""Files that an engine reads as a whole."""
_INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class ModelLocation:
    """The path and the id of a model.

    Attributes:
        unfinished: number of partial files of a download outside of the folder.
        nested: its subfolders belong to it: folders of a quantization, variants of the template.
    """

    id: str
    path: Path
    source: ModelSource
    unfinished: int = 0
    nested: bool = True


def is_model_folder(folder: Path, listed: ListFolder = children) -> bool:
    """Return whether a folder, whose entries `listed` lists, contains weights, complete or partial, or a config."""
    return looks_like_model(path.name for path in listed(folder))


def looks_like_model(names: Iterable[str]) -> bool:
    """Return whether files with these names are weights or a config of a model."""
    return any(
        name in ("config.json", "model_index.json") or name.endswith((".safetensors", *_PICKLES, *_UNFINISHED))
        for name in names
    )


def describe_folder(location: ModelLocation, architectures: Collection[str] | None) -> ModelInfo:
    """Describe the model in a folder; faults become its `problems` and raise no error.

    Args:
        location: the folder and the id of the model.
        architectures: every `model_type` that the engine runs; None where they are not known.
    """
    names = {path.name: path for path in children(location.path)}
    problems: list[str] = []
    config = _read(location.path / "config.json", problems)
    tokenizer = _read(location.path / "tokenizer_config.json", problems) if "tokenizer_config.json" in names else {}
    unfinished = location.unfinished + sum(name.endswith(_UNFINISHED) for name in names)
    files, tensors = _weights(names, unfinished, problems)
    if not any(name in names for name in _TOKENIZERS) and not any(name.endswith(".tiktoken") for name in names):
        problems.append("the tokenizer is missing (tokenizer.json or tokenizer.model)")
    problems.extend(_irregular(names))
    if purpose := other_purpose(names, config, (tensor.name for tensor in tensors)):
        problems.insert(0, purpose)
    else:
        problems.extend(unsupported(config, architectures, tokenizer))
    text, kind = configs.text_part(config), configs.architecture(config)
    if tensors:
        largest = max((size for tensor in tensors for size in tensor.shape), default=0)
        problems.extend(configs.impossible_counts(text, len(tensors), largest))
    found = read_templates(location.path, tokenizer, problems)
    templates = found.texts
    # mlx-lm has templates for a few models in code (mlx_lm/chat_templates), with tools and thinking.
    built_in = "chat_template_type" in tokenizer or (not templates and kind in TEMPLATES_IN_CODE)
    weights = weigh(tensors, text) if tensors else Weights(0, 0, 0, None)
    return ModelInfo(
        id=location.id,
        path=location.path,
        source=location.source,
        weight_bytes=sum(size_of(path) or 0 for path in files),
        architecture=kind,
        parameters=weights.parameters or None,
        active_parameters=weights.active_parameters or None,
        active_bytes=weights.active_bytes or None,
        quantization=weights.quantization or configs.quantization(config),
        kv_bytes_per_token=configs.kv_bytes_per_token(text),
        context_length=configs.context_length(text),
        templates={} if found.usual else templates,
        chat_template=bool(templates) or built_in,
        tool_calling=built_in or reads_tools(templates),
        thinking=built_in or has_thinking(templates),
        problems=tuple(dict.fromkeys(problems)),
        diagnostic=location.source == "builtin",
    )


def _irregular(names: dict[str, Path]) -> list[str]:
    """Report files that an engine would read for ever or too long: a FIFO, or a huge template."""
    problems: list[str] = []
    for name, path in names.items():
        whole = name in _READ_WHOLE or name.endswith(".tiktoken")
        if (whole or name.endswith((".safetensors", ".json", ".jinja"))) and path.exists():
            if not path.is_file():
                problems.append(f"{name} is not a regular file")
            elif whole and (size_of(path) or 0) > MAX_JSON_BYTES:
                problems.append(f"{name} is larger than {MAX_JSON_BYTES:,} bytes, too large to be one")
            elif whole and is_lfs_pointer(path):
                problems.append(lfs_pointer(name))
    return problems


def _read(path: Path, problems: list[str]) -> JsonObject:
    try:
        return read_object(path)
    except UnreadableError as error:
        problems.append(str(error))
        return {}


def _weights(names: dict[str, Path], unfinished: int, problems: list[str]) -> tuple[list[Path], list[Tensor]]:
    """Read the weight files of mlx-lm, `model*.safetensors`, and report missing ones."""
    # A folder lists broken links as well, whose size is None.
    files = [path for name, path in names.items() if _WEIGHTS.fullmatch(name) and size_of(path) is not None]
    present = {path.name for path in files}
    missing = sorted(_expected(names, problems if not files else []) - present)
    half = f"; {unfinished} half-downloaded" if unfinished else ""
    if missing:
        shown = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        problems.append(
            f"partial download: {len(missing)} of {len(missing) + len(present)} weight files missing ({shown}){half}"
        )
        return files, []
    if not files:
        problems.append(_no_weights(names, unfinished))
    tensors: list[Tensor] = []
    try:
        for path in files:
            tensors += read_tensors(path)
    except UnreadableError as error:
        problems.append(str(error))
        return files, []  # half of the tensors would give wrong sums
    return files, tensors


def _expected(names: dict[str, Path], problems: list[str]) -> set[str]:
    """Return the names of all weight files of the model, from the names of its parts or from its index.

    The index is the second choice, since the index of a large mixture of experts takes long to read.
    """
    expected = {name for name in names if name == "model.safetensors"}
    for name in names:
        if part := _SHARD.fullmatch(name):
            stem, _, count = part.groups()
            expected.update(f"{stem}-{index:05}-of-{count}.safetensors" for index in range(1, int(count) + 1))
    if not expected and _INDEX in names:
        index = _read(names[_INDEX], problems)
        expected.update(str(name) for name in section(index, "weight_map").values())
    return expected


def _no_weights(names: dict[str, Path], unfinished: int) -> str:
    if unfinished:
        return f"partial download: no weights yet, {unfinished} half-downloaded"
    if "adapter_config.json" in names or "adapters.safetensors" in names:
        return "an adapter (LoRA), not a whole model"
    if any(name.endswith(".safetensors") for name in names):
        return "no file is called model*.safetensors, the only weights that mlx-lm reads"
    if any(name.endswith(_PICKLES) for name in names):
        return "the weights are pickled (.bin, .pt), which is never loaded: get a safetensors version"
    if any(name.endswith(".npz") for name in names):
        return "the weights are in the old .npz format: get a safetensors version"
    return "no weights were downloaded"


def announced_model(
    name: str, config: JsonObject, names: Collection[str], weight_bytes: int, architectures: Collection[str] | None
) -> ModelInfo:
    """Describe a model before its download, with the facts that decide whether it fits and can run.

    Args:
        name: of its repository.
        config: the content of its config.json.
        names: of its files.
        weight_bytes: exact size of its weights, in bytes.
        architectures: every `model_type` that the engine runs; None where they are not known.

    Returns:
        The model, without a path; `problems` says why it cannot run.
    """
    text = configs.text_part(config)
    problems = [] if config else ["config.json is missing"]
    purpose = other_purpose(names, config)
    problems += [purpose] if purpose else unsupported(config, architectures)
    return ModelInfo(
        id=name,
        path=Path(),
        source="huggingface",
        weight_bytes=weight_bytes,
        architecture=configs.architecture(config),
        quantization=configs.quantization(config),
        kv_bytes_per_token=configs.kv_bytes_per_token(text),
        context_length=configs.context_length(text),
        problems=tuple(problems),
    )
