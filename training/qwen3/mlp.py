"""The gated feed-forward block: down(silu(gate(x)) * up(x))."""

from dataclasses import dataclass

import numpy as np

from training.qwen3.arrays import Array, Weights

GATE, UP, DOWN = "mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight"


@dataclass(frozen=True)
class MlpRecord:
    """What the backward pass needs, each of shape (tokens, width)."""

    inputs: Array
    gate: Array
    sigmoid: Array
    up: Array


def mlp(inputs: Array, weights: Weights) -> tuple[Array, MlpRecord]:
    """Return the block's output for `inputs` (tokens, hidden)."""
    gate: Array = inputs @ weights[GATE].T
    up: Array = inputs @ weights[UP].T
    sigmoid = _sigmoid(gate)
    hidden: Array = gate * sigmoid
    hidden *= up
    return hidden @ weights[DOWN].T, MlpRecord(inputs, gate, sigmoid, up)


def mlp_backward(d_outputs: Array, record: MlpRecord, weights: Weights) -> tuple[Array, Weights]:
    """Return the gradients of the inputs and of the three weights."""
    silu: Array = record.gate * record.sigmoid
    d_hidden: Array = d_outputs @ weights[DOWN]
    d_up: Array = d_hidden * silu
    # d silu(g) / dg = s * (1 + g * (1 - s)) with s = sigmoid(g), and g * s = silu(g)
    slope: Array = record.gate - silu
    slope += 1
    slope *= record.sigmoid
    d_gate: Array = d_hidden * record.up
    d_gate *= slope
    d_inputs: Array = d_gate @ weights[GATE]
    d_inputs += d_up @ weights[UP]
    gradients: Weights = {
        GATE: d_gate.T @ record.inputs,
        UP: d_up.T @ record.inputs,
        DOWN: d_outputs.T @ (silu * record.up),
    }
    return d_inputs, gradients


def _sigmoid(values: Array) -> Array:
    # In place: these arrays are the widest of the layer, and fresh ones cost more than the arithmetic.
    result: Array = np.negative(values)
    np.exp(result, out=result)
    result += np.float32(1)
    return np.reciprocal(result, out=result)
