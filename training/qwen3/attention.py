"""Causal self-attention with grouped key heads, normed queries and keys, and rotary positions.

Shapes: b samples, l positions, h query heads, k key heads, r query heads per key head, d head width.
"""

from dataclasses import dataclass

import numpy as np

from training.qwen3.arrays import Array, Weights
from training.qwen3.config import Qwen3Config
from training.qwen3.norm import NormRecord, rms_norm, rms_norm_backward
from training.qwen3.rotary import Rotary, rotate

QUERY, KEY = "self_attn.q_proj.weight", "self_attn.k_proj.weight"
VALUE, OUTPUT = "self_attn.v_proj.weight", "self_attn.o_proj.weight"
QUERY_NORM, KEY_NORM = "self_attn.q_norm.weight", "self_attn.k_norm.weight"

_MASKED = np.float32(-1e9)


@dataclass(frozen=True)
class AttentionRecord:
    """What the backward pass needs.

    Attributes:
        inputs: (b * l, hidden).
        query_norm: of the queries, (b, h, l, d).
        key_norm: of the keys, (b, k, l, d).
        queries: rotated, (b, k, r, l, d).
        keys: rotated, (b, k, 1, l, d).
        values: (b, k, 1, l, d).
        attended: the share of each earlier position, (b, k, r, l, l).
        mixed: the heads' outputs side by side, (b * l, h * d).
    """

    inputs: Array
    query_norm: NormRecord
    key_norm: NormRecord
    queries: Array
    keys: Array
    values: Array
    attended: Array
    mixed: Array


def attention(
    inputs: Array, samples: int, weights: Weights, config: Qwen3Config, rotary: Rotary
) -> tuple[Array, AttentionRecord]:
    """Return the block's output for `inputs` (b * l, hidden) of `samples` samples."""
    heads, key_heads, eps = config.num_attention_heads, config.num_key_value_heads, config.rms_norm_eps
    queries = _split_heads(inputs @ weights[QUERY].T, samples, heads)
    keys = _split_heads(inputs @ weights[KEY].T, samples, key_heads)
    values = np.ascontiguousarray(_split_heads(inputs @ weights[VALUE].T, samples, key_heads))[:, :, None]
    queries, query_norm = rms_norm(queries, weights[QUERY_NORM], eps)
    keys, key_norm = rms_norm(keys, weights[KEY_NORM], eps)
    queries = _group(rotate(queries, rotary), config)
    keys = rotate(keys, rotary)[:, :, None]
    attended = _attended(queries, keys)
    mixed = _join_heads(_ungroup(attended @ values))
    record = AttentionRecord(inputs, query_norm, key_norm, queries, keys, values, attended, mixed)
    return mixed @ weights[OUTPUT].T, record


def attention_backward(
    d_outputs: Array, record: AttentionRecord, weights: Weights, config: Qwen3Config, rotary: Rotary
) -> tuple[Array, Weights]:
    """Return the gradients of the inputs and of the six weights."""
    samples, heads = record.queries.shape[0], config.num_attention_heads
    gradients: Weights = {OUTPUT: d_outputs.T @ record.mixed}
    d_mixed = _group(_split_heads(d_outputs @ weights[OUTPUT], samples, heads), config)
    # A key head serves several query heads: what they send back adds up.
    d_values: Array = (record.attended.swapaxes(-1, -2) @ d_mixed).sum(axis=2)
    d_scores = _d_scores(d_mixed @ record.values.swapaxes(-1, -2), record.attended, config.head_dim)
    back = rotary.inverse()
    d_queries = rotate(_ungroup(d_scores @ record.keys), back)
    d_keys = rotate((d_scores.swapaxes(-1, -2) @ record.queries).sum(axis=2), back)
    d_queries, gradients[QUERY_NORM] = rms_norm_backward(d_queries, record.query_norm)
    d_keys, gradients[KEY_NORM] = rms_norm_backward(d_keys, record.key_norm)
    d_inputs = np.zeros_like(record.inputs)
    for name, d_heads in ((QUERY, d_queries), (KEY, d_keys), (VALUE, d_values)):
        d_projected = _join_heads(d_heads)
        gradients[name] = d_projected.T @ record.inputs
        d_inputs += d_projected @ weights[name]
    return d_inputs, gradients


def _attended(queries: Array, keys: Array) -> Array:
    """Return softmax(queries · keys / √d) over each position and those before it."""
    positions, head_dim = queries.shape[-2:]
    shares: Array = queries @ keys.swapaxes(-1, -2)
    shares *= np.float32(head_dim**-0.5)
    shares += np.triu(np.full((positions, positions), _MASKED), 1)
    shares -= shares.max(axis=-1, keepdims=True)
    np.exp(shares, out=shares)
    shares /= shares.sum(axis=-1, keepdims=True)
    return shares


def _d_scores(d_attended: Array, attended: Array, head_dim: int) -> Array:
    """Return the gradient before the softmax, the scale by 1 / √d included; `d_attended` is overwritten."""
    mean: Array = np.einsum("bkrij,bkrij->bkri", d_attended, attended)
    d_attended -= mean[..., None]
    d_attended *= attended
    d_attended *= np.float32(head_dim**-0.5)
    return d_attended


def _split_heads(projected: Array, samples: int, heads: int) -> Array:
    """(b * l, heads * d) → (b, heads, l, d)."""
    tokens, width = projected.shape
    return projected.reshape(samples, tokens // samples, heads, width // heads).transpose(0, 2, 1, 3)


def _join_heads(heads: Array) -> Array:
    """(b, heads, l, d) → (b * l, heads * d)."""
    samples, count, positions, width = heads.shape
    return heads.transpose(0, 2, 1, 3).reshape(samples * positions, count * width)


def _group(heads: Array, config: Qwen3Config) -> Array:
    """(b, h, l, d) → (b, k, r, l, d)."""
    samples, _, positions, width = heads.shape
    return heads.reshape(samples, config.num_key_value_heads, config.queries_per_key, positions, width)


def _ungroup(heads: Array) -> Array:
    """(b, k, r, l, d) → (b, h, l, d)."""
    samples, groups, each, positions, width = heads.shape
    return heads.reshape(samples, groups * each, positions, width)
