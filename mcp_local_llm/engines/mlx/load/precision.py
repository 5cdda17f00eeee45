"""The precision of a network: widens it on a CPU, and computes the bytes of a value.

Runs on the MLX thread only.
"""

from typing import Any

import mlx.core as mx
import mlx.utils
from mlx.nn import Module
from mlx_lm.models.cache import make_prompt_cache

from mcp_local_llm.values.model import KV_ELEMENT_BYTES

# mlx declares its types in part only.
utils: Any = mlx.utils

QUANTIZED = ("scales", "biases")
"""Arrays that mlx keeps beside the codes of a quantized weight; `bias` is the layer's own."""
NARROW = (mx.float16, mx.bfloat16)


def widen_scales(network: Any) -> None:
    """Make the scales of quantized weights float32 where MLX computes on a CPU; nothing is evaluated.

    MLX multiplies quantized weights in the widest type of scales and activations, and its CPU code has to convert every
    product of 16-bit ones (`_qmm_t` in mlx/backend/cpu/quantized.cpp, 0.32): many times slower, as
    `python -m benchmarks.scales` measures. The codes stay as they are; groups of 64 take half a bit more per weight,
    and the KV cache becomes float32 as well. Plans made before the load do not count that; requests are checked against
    `value_bytes`. A network whose norms are float32 computes in float32 with any scales, and is left as it is: wider
    scales would only round its embeddings in another way.
    """
    if mx.default_device().type != mx.DeviceType.cpu or value_bytes(network) > KV_ELEMENT_BYTES:
        return

    def narrow(module: Module, key: str, value: Any) -> bool:
        if isinstance(value, mx.array):
            return key in QUANTIZED and value.dtype in NARROW
        return Module.valid_parameter_filter(module, key, value)

    def widen(scales: mx.array) -> mx.array:
        return scales.astype(mx.float32)

    network.apply(widen, filter_fn=narrow)


def value_bytes(network: Any) -> int:
    """Return the bytes of a key's or value's element.

    One wide weight can make everything after it wide, so that is found by describing a step of the network. Nothing
    is evaluated, and the weights need not be in memory. 2 where all weights are narrow or no layer keeps plain keys.

    Raises:
        Exception: the network cannot compute a step, for example because config.json names a text for a number.
    """
    layers = make_prompt_cache(network)
    network(mx.array([[0]]), cache=layers)
    if all(array.dtype != mx.float32 for _, array in utils.tree_flatten(network.parameters())):
        return KV_ELEMENT_BYTES
    keys = [layer.keys for layer in layers if isinstance(getattr(layer, "keys", None), mx.array)]
    return max((array.dtype.size for array in keys), default=KV_ELEMENT_BYTES)
