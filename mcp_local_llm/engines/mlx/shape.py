"""Read from a model's config what decides the memory of a request. Runs on the MLX thread only."""

from typing import Any

import mlx.core as mx

from mcp_local_llm.admission import FUSED_HEAD_DIMS, NetworkShape
from mcp_local_llm.budget import UNKNOWN_KV_BYTES
from mcp_local_llm.model import ModelInfo


def network_shape(info: ModelInfo, config: dict[str, Any]) -> NetworkShape:
    """Fill in a shape; what the config does not name keeps the value of a model of about 8 billion weights."""
    default = NetworkShape()
    hidden = _number(config, "hidden_size", "d_model", "n_embd") or default.hidden
    heads = _number(config, "num_attention_heads", "n_head") or default.heads
    head_dim = _number(config, "head_dim") or max(hidden // heads, 1)
    experts = _number(config, "num_experts_per_tok", "num_experts_per_token") or 0
    expert = experts * (_number(config, "moe_intermediate_size") or 0)
    intermediate = expert or _number(config, "intermediate_size", "n_inner") or 4 * hidden
    return NetworkShape(
        kv_bytes_per_token=UNKNOWN_KV_BYTES if info.kv_bytes_per_token is None else info.kv_bytes_per_token,
        hidden=hidden,
        intermediate=intermediate,
        heads=heads,
        head_dim=head_dim,
        fused=mx.metal.is_available() and head_dim in FUSED_HEAD_DIMS,
    )


def _number(config: dict[str, Any], *names: str) -> int | None:
    for name in names:
        if isinstance(config.get(name), int):
            return int(config[name])
    return None
