"""mlx-lm's cache objects, one a layer: their size, their copies, and cutting them back. MLX thread only."""

import copy
from typing import Any

import mlx.core as mx
from mlx.utils import tree_map
from mlx_lm.models.cache import (
    ChunkedKVCache,
    ConcatenateKVCache,
    KVCache,
    QuantizedKVCache,
    can_trim_prompt_cache,
    trim_prompt_cache,
)

Layers = list[Any]
"""mlx-lm's cache objects, one a layer."""


def held_bytes(layers: Layers) -> int:
    """Return the bytes of all these caches."""
    # mlx-lm's quantized cache can tell its size only once it holds something.
    return sum(layer.nbytes for layer in layers if not _blank(layer))


def _blank(layer: Any) -> bool:
    """Whether this is an empty quantized cache."""
    return type(layer) is QuantizedKVCache and layer.keys is None


def snapshot(layers: Layers) -> Layers:
    """Copy cache objects as they are now; the arrays are shared until one side writes into its own."""
    return copy.deepcopy(layers)


def trimmable_for_good(layers: Layers) -> bool:
    """Whether these caches can be cut back at any length: plain attention in every layer, no window, no state."""
    return all(type(layer) in (KVCache, QuantizedKVCache) for layer in layers)


def cut_back(layers: Layers, tokens: int) -> None:
    """Drop the last `tokens` tokens of caches that can be trimmed."""
    trim_prompt_cache(layers, tokens)
    for layer in layers:
        if type(layer) in (KVCache, QuantizedKVCache) and layer.keys is not None:
            # The first write copies what it writes into; the part behind the fork need not be copied with it.
            layer.keys, layer.values = _first(layer.keys, layer.offset), _first(layer.values, layer.offset)


def trimmable_now(layers: Layers) -> bool:
    """Whether these caches can be cut back; two classes of mlx-lm 0.32 claim it wrongly.

    `ConcatenateKVCache` keeps what was cut off and counts it again with the next token; a `ChunkedKVCache` has lost its
    front once its chunk was full.
    """
    return can_trim_prompt_cache(layers) and not any(
        isinstance(layer, ConcatenateKVCache) or (isinstance(layer, ChunkedKVCache) and layer.start_position > 0)
        for layer in layers
    )


def _first(values: Any, places: int) -> Any:
    """Cut keys or values to their first places; quantized ones are three arrays."""

    def cut(part: mx.array) -> mx.array:
        return part[..., :places, :]

    return tree_map(cut, values)
