"""RMS norm (Zhang and Sennrich 2019, arXiv 1910.07467)."""

from dataclasses import dataclass

import numpy as np

from training.qwen3.arrays import Array


@dataclass(frozen=True)
class NormRecord:
    """What the backward pass needs.

    Attributes:
        normed: the input at unit scale, before the weight.
        scale: what the input was multiplied with, one figure per vector.
        weight: the learnt weight.
    """

    normed: Array
    scale: Array
    weight: Array


def rms_norm(inputs: Array, weight: Array, eps: float) -> tuple[Array, NormRecord]:
    """Return `inputs` (…, width) with each vector at unit root mean square, times `weight` (width)."""
    scale = np.reciprocal(np.sqrt(_mean(inputs * inputs) + np.float32(eps)))
    normed = inputs * scale
    return normed * weight, NormRecord(normed, scale, weight)


def rms_norm_backward(d_outputs: Array, record: NormRecord) -> tuple[Array, Array]:
    """Return the gradients of the inputs and of the weight."""
    width = record.weight.shape[0]
    d_weight: Array = np.einsum("nd,nd->d", d_outputs.reshape(-1, width), record.normed.reshape(-1, width))
    d_inputs = d_outputs * record.weight
    # The scale depends on every element: take out the part along the vector itself.
    d_inputs -= record.normed * _mean(d_inputs * record.normed)
    d_inputs *= record.scale
    return d_inputs, d_weight


def _mean(values: Array) -> Array:
    """Return the mean of each vector, as a vector of one element."""
    return np.asarray(np.mean(values, axis=-1, keepdims=True, dtype=np.float32))
