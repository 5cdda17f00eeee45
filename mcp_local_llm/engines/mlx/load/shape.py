"""Read from a model's config what decides the memory of a request. Runs on the MLX thread only."""

from typing import Any

import mlx.core as mx

from mcp_local_llm.engines.mlx.batch.admission import FUSED_HEAD_DIMS, NetworkShape
from mcp_local_llm.models.fit import UNKNOWN_KV_BYTES
from mcp_local_llm.values.model import KV_ELEMENT_BYTES, ModelInfo


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
