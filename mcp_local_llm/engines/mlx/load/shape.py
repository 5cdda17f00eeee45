"""Reads from a model's config the numbers that decide the memory of a request. Runs on the MLX thread only."""

from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from mcp_local_llm.values.model import KV_ELEMENT_BYTES, UNKNOWN_KV_BYTES, ModelInfo

FUSED_HEAD_DIMS = frozenset({64, 80, 128})
"""Head sizes for which Metal's attention kernel keeps the scores of a prompt in registers (mlx 0.32,
`mlx/backend/metal/scaled_dot_product_attention.cpp`); others, and the CPU, write the whole matrix to memory."""


@dataclass(frozen=True)
class NetworkShape:
    """The numbers of a network that decide the memory of a request.

    Attributes:
        value_bytes: of one value of the residual stream and of the KV cache.
        kv_bytes_per_token: of KV cache, over all layers.
        fresh_kv_bytes: what a token of the first chunk takes besides until it is quantized; 0 where it never is.
        hidden, intermediate: widths of the residual stream and of the feed-forward part that one token passes.
        heads, head_dim: of the attention.
        fused: the attention kernel writes no matrix of scores.
    """

    kv_bytes_per_token: int = UNKNOWN_KV_BYTES
    hidden: int = 4096
    intermediate: int = 16_384
    heads: int = 32
    head_dim: int = 128
    fused: bool = False
    fresh_kv_bytes: int = 0
    value_bytes: int = KV_ELEMENT_BYTES

    def prefill_bytes(self, step: int, context: int) -> int:
        """Estimate the working memory of one prefill step, in bytes.

        Eight activations of the residual width, three of the feed-forward part and four of the heads are alive at
        once in a layer; the scores, where they are written, twice (before and after the softmax). Keys and values
        that are to be quantized lie there as they were computed until then.
        """
        activations = step * (8 * self.hidden + 3 * self.intermediate + 4 * self.heads * self.head_dim)
        scores = 0 if self.fused else 2 * self.heads * step * context
        return self.value_bytes * (activations + scores) + step * self.fresh_kv_bytes


def network_shape(info: ModelInfo, config: dict[str, Any], value_bytes: int) -> NetworkShape:
    """Fill in a shape; what the config does not name keeps the value of a model of about 8 billion weights.

    Args:
        info: the model; its KV figure is that of 16 bits.
        config: the text part of config.json.
        value_bytes: of a value that the network computes with.
    """
    default = NetworkShape()
    hidden = _number(config, "hidden_size", "d_model", "n_embd") or default.hidden
    heads = _number(config, "num_attention_heads", "n_head") or default.heads
    head_dim = _number(config, "head_dim") or max(hidden // heads, 1)
    experts = _number(config, "num_experts_per_tok", "num_experts_per_token") or 0
    expert = experts * (_number(config, "moe_intermediate_size") or 0)
    intermediate = expert or _number(config, "intermediate_size", "n_inner") or 4 * hidden
    narrow = UNKNOWN_KV_BYTES if info.kv_bytes_per_token is None else info.kv_bytes_per_token
    return NetworkShape(
        kv_bytes_per_token=narrow * value_bytes // KV_ELEMENT_BYTES,
        hidden=hidden,
        intermediate=intermediate,
        heads=heads,
        head_dim=head_dim,
        fused=mx.metal.is_available() and head_dim in FUSED_HEAD_DIMS,
        value_bytes=value_bytes,
    )


def _number(config: dict[str, Any], *names: str) -> int | None:
    for name in names:
        if isinstance(config.get(name), int):
            return int(config[name])
    return None
