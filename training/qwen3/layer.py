"""One transformer layer: attention and feed-forward, each behind a norm and beside a residual path."""

from dataclasses import dataclass

from training.qwen3.arrays import Array, Weights
from training.qwen3.attention import AttentionRecord, attention, attention_backward
from training.qwen3.config import Qwen3Config
from training.qwen3.mlp import MlpRecord, mlp, mlp_backward
from training.qwen3.norm import NormRecord, rms_norm, rms_norm_backward
from training.qwen3.rotary import Rotary

INPUT_NORM, MLP_NORM = "input_layernorm.weight", "post_attention_layernorm.weight"


@dataclass(frozen=True)
class LayerRecord:
    """The records of the layer's four parts, in their order."""

    input_norm: NormRecord
    attention: AttentionRecord
    mlp_norm: NormRecord
    mlp: MlpRecord


def layer(
    states: Array, samples: int, weights: Weights, config: Qwen3Config, rotary: Rotary
) -> tuple[Array, LayerRecord]:
    """Return the layer's output for `states` (tokens, hidden) of `samples` samples."""
    normed, input_norm = rms_norm(states, weights[INPUT_NORM], config.rms_norm_eps)
    attended, attention_record = attention(normed, samples, weights, config, rotary)
    states = states + attended
    normed, mlp_norm = rms_norm(states, weights[MLP_NORM], config.rms_norm_eps)
    transformed, mlp_record = mlp(normed, weights)
    return states + transformed, LayerRecord(input_norm, attention_record, mlp_norm, mlp_record)


def layer_backward(
    d_states: Array, record: LayerRecord, weights: Weights, config: Qwen3Config, rotary: Rotary
) -> tuple[Array, Weights]:
    """Return the gradients of the layer's input and of its weights."""
    d_normed, gradients = mlp_backward(d_states, record.mlp, weights)
    d_branch, gradients[MLP_NORM] = rms_norm_backward(d_normed, record.mlp_norm)
    d_states = d_states + d_branch
    d_normed, attention_gradients = attention_backward(d_states, record.attention, weights, config, rotary)
    d_branch, gradients[INPUT_NORM] = rms_norm_backward(d_normed, record.input_norm)
    return d_states + d_branch, gradients | attention_gradients
