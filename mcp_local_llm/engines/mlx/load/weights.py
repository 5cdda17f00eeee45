"""Loads a model's folder with mlx-lm, in steps that report progress and can be cancelled.

Runs on the MLX thread only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.utils import load_model, load_tokenizer

from mcp_local_llm.engines.mlx.limits import KVBits
from mcp_local_llm.engines.mlx.load.generation_config import SamplingDefaults, read_sampling_defaults
from mcp_local_llm.engines.mlx.load.kv_quantization import KVQuantization, quantize_kv
from mcp_local_llm.engines.mlx.load.precision import value_bytes, widen_scales
from mcp_local_llm.engines.mlx.load.shape import NetworkShape, network_shape
from mcp_local_llm.engines.mlx.load.tokenizer_file import TokenizerFileError, check_tokenizer_file
from mcp_local_llm.engines.mlx.prompt.reasoning_markers import ThinkingTraits, thinking_traits
from mcp_local_llm.engines.mlx.prompt.reasoning_tags import reasoning_tags
from mcp_local_llm.engines.mlx.prompt.template_traits import with_traits
from mcp_local_llm.engines.mlx.prompt.text_model import TextModel
from mcp_local_llm.engines.mlx.prompt.tokenizer_bounds import cut_between_words, longest_token
from mcp_local_llm.values.errors import ModelLoadError, reason_of
from mcp_local_llm.values.model import ModelInfo

STEP_BYTES = 128 * 2**20
"""Weights read between two checks of the cancel flag, in bytes: about 0.1 s from an SSD."""

READ = frozenset({".safetensors", ".json", ".jinja", ".model", ".txt", ".tiktoken"})
"""Endings of the files that a load reads."""


class LoadCancelled(Exception):
    """The load was cancelled."""


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory, with the numbers that requests are checked against.

    Attributes:
        network: mlx-lm's module, which is not typed there.
        text: its tokenizer and template, and the numbers that prompts are checked against.
        traits: how it marks reasoning.
        sampling: the model's own values (`generation_config.json`).
        shape: the numbers that decide the memory of a request.
        kv: how keys and values are quantized; None where they are not.
    """

    info: ModelInfo
    network: Any
    text: TextModel
    traits: ThinkingTraits
    sampling: SamplingDefaults
    shape: NetworkShape
    kv: KVQuantization | None

    @property
    def tokenizer(self) -> Any:
        """mlx-lm's `TokenizerWrapper`."""
        return self.text.tokenizer

    @property
    def vocab_size(self) -> int:
        """Rows of the embedding; a token id at or above it is a segmentation fault in MLX."""
        return self.text.vocab_size


def load(
    info: ModelInfo, report: Callable[[int, int], None], cancelled: Callable[[], bool], kv_bits: KVBits | None
) -> LoadedModel:
    """Read the weights of `info` and its tokenizer.

    Args:
        info: a usable model of format `mlx`.
        report: takes bytes read and bytes in all.
        cancelled: checked between steps of `STEP_BYTES`.
        kv_bits: to quantize keys and values to.

    Raises:
        ModelLoadError: mlx-lm refused the folder, or `kv_bits` for it, or a file changed meanwhile; the message carries
            the reason.
        LoadCancelled: `cancelled` said so.
    """
    before = _stamps(info.path)
    try:
        model = _load(info, report, cancelled, kv_bits)
        changed = _stamps(info.path) != before
    except BaseException as error:
        # Anything can come out of a model's files: mlx-lm raises what its parsers raise, one of its model files calls
        # sys.exit(), and native code panics with a BaseException. All of it means that this folder cannot be loaded.
        if isinstance(error, LoadCancelled | ModelLoadError):
            raise
        reason = str(error) if isinstance(error, TokenizerFileError) else reason_of(error)
        raise ModelLoadError(f"{info.id} could not be loaded: {reason}") from error
    finally:
        # A network draws its first weights before it gets the real ones. Nothing computes them, and MLX would keep the
        # steps from one random key to the next of every load: 60 kB for the built-in model.
        mx.eval(mx.random.state)
    if changed:
        raise ModelLoadError(
            f"{info.id} could not be loaded: its files changed meanwhile, so what was read may belong to two versions. "
            "Send the request again when the change is done."
        )
    return model


def _load(
    info: ModelInfo, report: Callable[[int, int], None], cancelled: Callable[[], bool], kv_bits: KVBits | None
) -> LoadedModel:
    network, config = cast(tuple[Any, dict[str, Any]], load_model(info.path, lazy=True))
    text_config = cast(dict[str, Any], config.get("text_config") or config)
    rows = _vocab_size(info, text_config, network)
    check_tokenizer_file(info.path, rows)
    options = _tokenizer_options(info)
    tokenizer: Any = load_tokenizer(info.path, options, eos_token_ids=config.get("eos_token_id"))
    if cancelled():
        raise LoadCancelled
    widen_scales(network)
    shape, kv = network_shape(info, text_config, value_bytes(network)), None
    if kv_bits is not None:
        kv, shape = quantize_kv(network, shape, kv_bits, info.id)
    _read_weights(network, report, cancelled)
    text, traits = _read_text(info, tokenizer, text_config, rows)
    return LoadedModel(
        info=info,
        network=network,
        text=text,
        traits=traits,
        sampling=read_sampling_defaults(info.path),
        shape=shape,
        kv=kv,
    )


def _stamps(folder: Path) -> list[tuple[str, int, int, int]]:
    """Return what changes with the files that are read; empty for a folder that is gone."""
    files = sorted(path for path in folder.glob("*") if path.suffix in READ and path.exists())
    return [(path.name, status.st_size, status.st_mtime_ns, status.st_ino) for path in files if (status := path.stat())]


def _tokenizer_options(info: ModelInfo) -> dict[str, Any]:
    """Return the options of the tokenizer, with the templates that it would not find by itself."""
    templates = dict(info.templates)
    if len(set(templates.values())) == 1:
        return {"trust_remote_code": False, "chat_template": templates["default"]}
    return {"trust_remote_code": False, **({"chat_template": templates} if templates else {})}


LENGTH_WARNING = "sequence-length-is-longer-than-the-specified-maximum"
"""The key of transformers' warning about a text above the window, which is refused or counted here on purpose."""


def _read_text(info: ModelInfo, tokenizer: Any, config: dict[str, Any], rows: int) -> tuple[TextModel, ThinkingTraits]:
    """Find out by encoding and rendering what a tokenizer and a template do."""
    getattr(tokenizer._tokenizer, "deprecation_warnings", {})[LENGTH_WARNING] = True
    _keep_no_words(tokenizer._tokenizer)
    text = TextModel(
        name=info.id,
        tokenizer=tokenizer,
        vocab_size=rows,
        context_length=info.context_length or config.get("max_position_embeddings"),
        tags=reasoning_tags(tokenizer),
        longest_token=longest_token(tokenizer._tokenizer),
        pieces=cut_between_words(tokenizer._tokenizer),
    )
    text = with_traits(text)
    return text, thinking_traits(text)


def _keep_no_words(tokenizer: Any) -> None:
    """Switch a tokenizer's cache off: tokenizers 0.23 keeps it for each thread until the thread ends.

    It is that of BPE (`BPE_LOCAL_CACHE` in its `models/bpe/model.rs`): up to 10,000 words for each thread that encodes
    and each tokenizer, also of models that are gone. Without it, a word that comes again is encoded again.
    """
    model = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    resize = getattr(model, "_resize_cache", None)
    if resize is not None:
        resize(0)


def _read_weights(network: Any, report: Callable[[int, int], None], cancelled: Callable[[], bool]) -> None:
    """Bring lazily mapped weights into memory, a step at a time."""
    arrays = [value for _, value in cast(list[tuple[str, mx.array]], tree_flatten(network.parameters()))]
    total = sum(array.nbytes for array in arrays)
    done, pending, pending_bytes = 0, list[mx.array](), 0
    for array in arrays:
        pending.append(array)
        pending_bytes += array.nbytes
        if pending_bytes >= STEP_BYTES:
            mx.eval(pending)
            done, pending, pending_bytes = done + pending_bytes, [], 0
            report(done, total)
            if cancelled():
                raise LoadCancelled
    mx.eval(pending)
    report(total, total)


def _vocab_size(info: ModelInfo, config: dict[str, Any], network: Any) -> int:
    """Count the rows of the embedding, from the config or else from the weights."""
    if isinstance(config.get("vocab_size"), int):
        return int(config["vocab_size"])
    for name, value in cast(list[tuple[str, mx.array]], tree_flatten(network.parameters())):
        if name.endswith(("embed_tokens.weight", "wte.weight", "embeddings.weight")):
            return int(value.shape[0])
    raise ModelLoadError(f"{info.id} could not be loaded: its config names no vocab_size.")
