"""Quantizes KV caches to 4 or 8 bits: checks that a network can work with them, and computes their size.

Such caches cannot be decoded together: mlx-lm's `QuantizedKVCache` has no `merge`, and `BatchGenerator` refuses what
has none (`_merge_caches` in its generate.py, 0.32). So requests run one at a time then; see `EngineLimits.places`.
Runs on the MLX thread only.
"""

from dataclasses import dataclass, replace
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import KVCache, make_prompt_cache

from mcp_local_llm.engines.mlx.load.kv_cache import Layers, held_bytes
from mcp_local_llm.engines.mlx.load.shape import NetworkShape
from mcp_local_llm.values.errors import ModelLoadError

GROUP_SIZES = (64, 32)
"""Values that share a scale and an offset: mlx-lm's own choice, then the smallest that MLX knows, for heads that 64
does not divide (those of 32 and 96 values)."""


@dataclass(frozen=True)
class KVQuantization:
    """Bits and group size of quantized keys and values."""

    bits: int
    group_size: int

    def apply(self, layers: Layers) -> None:
        """Quantize the caches of plain attention, in place; those of windows and states stay as they are."""
        for place, layer in enumerate(layers):
            if type(layer) is KVCache:
                layers[place] = layer.to_quantized(group_size=self.group_size, bits=self.bits)


def quantize_kv(network: Any, shape: NetworkShape, bits: int, model: str) -> tuple[KVQuantization, NetworkShape]:
    """Return how the network's caches are quantized, and its shape with the bytes that they take then.

    Found by passing a few tokens through the network. Nothing is evaluated, so the weights need not be in memory:
    MLX knows the sizes, and refuses what does not fit together, as soon as a computation is described.

    Raises:
        ModelLoadError: the network cannot work with such caches; names the model, the setting and the reason.
    """
    layers: Layers = make_prompt_cache(network)
    network(mx.array([[0, 0]]), cache=layers)
    plain: Layers = [layer for layer in layers if type(layer) is KVCache and layer.keys is not None]
    quantization = KVQuantization(bits, _group_size(plain, bits, model))
    kept = list(plain)
    try:
        quantization.apply(kept)
        quantization.apply(layers)
        # A chunk of a prompt, then a token of an answer: masks are made differently for the two.
        network(mx.array([[0, 0]]), cache=layers)
        network(mx.array([[0]]), cache=layers)
    except Exception as error:
        # A model's code may compute with the cached arrays itself, and then raises whatever that comes to.
        reason = str(error).rstrip(".") or type(error).__name__
        raise _refusal(model, bits, f"mlx-lm cannot compute it so: {reason}") from error
    places: int = plain[0].keys.shape[-2]
    before, after = held_bytes(plain) // places, held_bytes(kept) // places
    # What is left of the shape's own figure are layers that grow and are not quantized.
    taken = max(shape.kv_bytes_per_token - before, 0) + after
    return quantization, replace(shape, kv_bytes_per_token=taken, fresh_kv_bytes=before, fused=False)


def _group_size(plain: Layers, bits: int, model: str) -> int:
    """Return the largest group that divides the heads of all these layers."""
    if not plain:
        raise _refusal(model, bits, "none of its layers has a cache that mlx-lm can quantize")
    heads = sorted({values.shape[-1] for layer in plain for values in (layer.keys, layer.values)})
    for size in GROUP_SIZES:
        if all(head and head % size == 0 for head in heads):
            return size
    sizes = " and ".join(map(str, heads))
    raise _refusal(model, bits, f"its heads have {sizes} values, and MLX quantizes multiples of {GROUP_SIZES[-1]}")


def _refusal(model: str, bits: int, reason: str) -> ModelLoadError:
    return ModelLoadError(
        f"{model} cannot be used with the setting kv_bits = {bits}: {reason}. Unset kv_bits, or choose another model."
    )
