"""Reads a model's config.json: architecture, context window, KV cache, quantization. Pure functions."""

import re
from typing import cast

from mcp_local_llm.models.find.files import JsonObject, count_of, section
from mcp_local_llm.values.errors import shortened
from mcp_local_llm.values.model import KV_ELEMENT_BYTES, Quantization

# The methods that mlx-lm converts into its own packing on load (mlx_lm/utils.py, load_model).
_READABLE_METHODS = frozenset({"awq", "bitnet", "compressed-tensors", "fp8", "gptq", "modelopt", "mxfp4", "mxfp8"})
_FULL_ATTENTION = frozenset({"full_attention", "attention", "global", "global_attention", "*"})
# These two cache the keys and values of every head; the other models with latent attention cache only the latent.
_EXPANDED_LATENT = frozenset({"deepseek_v2", "minicpm3"})


MAX_LAYERS = 2000
"""The most layers of a network; the deepest models have less than 200."""

_COUNTED = {"layers": re.compile(r"(?:^|_)(?:layers?|blocks)$"), "experts": re.compile(r"(?:^|_)experts$")}


def text_part(config: JsonObject) -> JsonObject:
    """Return the config with the nested settings of a multimodal model's language model on top."""
    inner = section(config, "text_config") or section(config, "llm_config") or section(config, "language_config")
    return {**config, **inner}


def impossible_counts(text: JsonObject, tensors: int, largest: int) -> list[str]:
    """Return a sentence for each number of layers or experts that the weights cannot have.

    mlx-lm builds a network from config.json before it looks at the weights: a billion layers would take all memory.

    Args:
        text: as `text_part` returns it.
        tensors: number of tensors in the weights.
        largest: the largest dimension of a tensor.
    """
    most = {"layers": min(tensors, MAX_LAYERS), "experts": max(tensors, largest)}
    return [
        f"config.json says {key} = {shortened(str(value))}, and its weights have room for {most[part]:,} at most"
        for key, value in text.items()
        for part, names in _COUNTED.items()
        if isinstance(value, int | float) and names.search(key) and value > most[part]
    ]


def architecture(config: JsonObject) -> str:
    """Return `model_type`, e.g. `qwen3_moe`: the name by which mlx-lm picks the model's code."""
    kind = config.get("model_type")
    return kind if isinstance(kind, str) and kind else "unknown"


def context_length(text: JsonObject) -> int | None:
    """Return the longest sequence in tokens."""
    return count_of(
        text, "max_position_embeddings", "max_seq_len", "max_sequence_length", "seq_length", "n_positions", "n_ctx"
    )


def kv_bytes_per_token(text: JsonObject) -> int | None:
    """Return the bytes by which the KV cache grows for each token, at 16 bits.

    Two values (key and value) for each cached head, in each layer with full attention. Layers with a sliding window or
    a state of fixed size do not grow and are left out; latent attention caches one vector per layer. None where
    config.json does not show it.
    """
    layers = _growing_layers(text)
    latent = count_of(text, "kv_lora_rank")
    heads = count_of(text, "num_attention_heads", "n_head", "num_heads")
    if latent and architecture(text) not in _EXPANDED_LATENT:
        values = latent + (count_of(text, "qk_rope_head_dim") or 0)
    elif latent and heads:
        key = (count_of(text, "qk_nope_head_dim") or 0) + (count_of(text, "qk_rope_head_dim") or 0)
        values = heads * (key + (count_of(text, "v_head_dim") or key))
    else:
        width = count_of(text, "hidden_size", "n_embd", "d_model")
        head = count_of(text, "head_dim") or (width // heads if width and heads else None)
        kept = count_of(text, "num_key_value_heads", "num_kv_heads") or heads
        if head is None or kept is None:
            return None
        values = 2 * kept * head
    return None if layers is None else layers * values * KV_ELEMENT_BYTES


def _growing_layers(text: JsonObject) -> int | None:
    """Count the layers whose cache grows with every token, without layers that share the cache of earlier ones."""
    layers = count_of(text, "num_hidden_layers", "n_layer", "n_layers", "num_layers")
    shared = count_of(text, "num_kv_shared_layers") or 0
    kinds = text.get("layer_types") or text.get("layers_block_type") or text.get("hybrid_override_pattern")
    if isinstance(kinds, list | str) and kinds:
        # A string has one letter for each layer, a list one name.
        own = list(cast(list[object], kinds))
        return sum(isinstance(kind, str) and kind in _FULL_ATTENTION for kind in own[: len(own) - shared])
    chosen = text.get("full_attn_idxs")
    if isinstance(chosen, list):
        return len(cast(list[object], chosen))
    every = count_of(text, "full_attention_interval", "attn_layer_period")
    if every is None and text.get("sliding_window"):
        every = count_of(text, "sliding_window_pattern")
    return None if layers is None else (layers - shared) // (every or 1)


def quantization(config: JsonObject) -> Quantization | None:
    """Return the default quantization in config.json; None for weights without quantization."""
    own = section(config, "quantization")
    foreign = section(config, "quantization_config") or section(section(config, "text_config"), "quantization_config")
    if bits := count_of(own, "bits"):
        mode = own.get("mode")
        return Quantization(bits, count_of(own, "group_size"), mode if isinstance(mode, str) else "affine")
    method = foreign.get("quant_method")
    if method in ("mxfp4", "mxfp8"):
        return Quantization(4 if method == "mxfp4" else 8, 32, str(method))
    if method == "fp8":
        return Quantization(8, None, "fp8")
    if method == "modelopt":
        return Quantization(4, 16, "nvfp4")
    bits = count_of(foreign, "bits")
    return Quantization(bits, count_of(foreign, "group_size")) if bits else None


def foreign_quantization(config: JsonObject) -> str | None:
    """Return the name of a quantization method that mlx-lm cannot read, e.g. `bitsandbytes`."""
    if section(config, "quantization"):
        return None
    method = section(config, "quantization_config").get("quant_method")
    return method if isinstance(method, str) and method not in _READABLE_METHODS else None
