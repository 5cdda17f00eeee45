"""The whole model: first weights, and the loss of a batch with the gradient of every weight."""

import math
from dataclasses import dataclass

import numpy as np

from training.qwen3 import attention, mlp
from training.qwen3.arrays import Array, Ints, Weights
from training.qwen3.config import Qwen3Config
from training.qwen3.layer import INPUT_NORM, MLP_NORM, LayerRecord, layer, layer_backward
from training.qwen3.loss import Loss, cross_entropy
from training.qwen3.norm import rms_norm, rms_norm_backward
from training.qwen3.rotary import Rotary

EMBEDDING, FINAL_NORM = "model.embed_tokens.weight", "model.norm.weight"

_EMBEDDING_SCALE = 0.02


@dataclass(frozen=True)
class LossAndGradients:
    """The result of one batch; `hits` of `places` learnt places had the right token as the likeliest one."""

    loss: float
    gradients: Weights
    hits: int
    places: int


def initial_weights(config: Qwen3Config, random: np.random.Generator) -> Weights:
    """Return random weights: variance 1 / inputs, smaller where a block adds to the residual path."""
    hidden = config.hidden_size
    weights: Weights = {
        EMBEDDING: _normal(random, config.vocab_size, hidden, _EMBEDDING_SCALE),
        FINAL_NORM: np.ones(hidden, np.float32),
    }
    # 2 blocks a layer add to the path, so their sum keeps its scale (Radford et al. 2019, "GPT-2", section 2.3).
    residual = 1 / math.sqrt(2 * config.num_hidden_layers)
    shapes = (
        (attention.QUERY, config.query_size, hidden, 1.0),
        (attention.KEY, config.key_value_size, hidden, 1.0),
        (attention.VALUE, config.key_value_size, hidden, 1.0),
        (attention.OUTPUT, hidden, config.query_size, residual),
        (mlp.GATE, config.intermediate_size, hidden, 1.0),
        (mlp.UP, config.intermediate_size, hidden, 1.0),
        (mlp.DOWN, hidden, config.intermediate_size, residual),
    )
    norms = (
        (attention.QUERY_NORM, config.head_dim),
        (attention.KEY_NORM, config.head_dim),
        (INPUT_NORM, hidden),
        (MLP_NORM, hidden),
    )
    for index in range(config.num_hidden_layers):
        prefix = _prefix(index)
        for name, outputs, inputs, gain in shapes:
            weights[prefix + name] = _normal(random, outputs, inputs, gain / math.sqrt(inputs))
        for name, width in norms:
            weights[prefix + name] = np.ones(width, np.float32)
    return weights


def loss_and_gradients(
    weights: Weights, config: Qwen3Config, inputs: Ints, targets: Ints, place_weights: Array
) -> LossAndGradients:
    """Return the loss of a batch and its gradients.

    Args:
        weights: every weight of the model.
        config: its shape.
        inputs: token ids, (samples, positions).
        targets: the token after each input, same shape.
        place_weights: what each place's loss is multiplied with, same shape; the loss is the sum.
    """
    samples, positions = inputs.shape
    rotary = Rotary.table(positions, config.head_dim, config.rope_theta)
    layers = [_layer_weights(weights, index) for index in range(config.num_hidden_layers)]
    states = weights[EMBEDDING][inputs.reshape(-1)]
    records: list[LayerRecord] = []
    for layer_weights in layers:
        states, record = layer(states, samples, layer_weights, config, rotary)
        records.append(record)
    loss, places, d_states, d_final_norm = _output(states, weights, config, targets, place_weights)
    d_embedding = loss.d_embedding
    gradients: Weights = {EMBEDDING: d_embedding, FINAL_NORM: d_final_norm}
    for index in reversed(range(config.num_hidden_layers)):
        # Popped, so that a layer's record is freed as soon as it is used.
        d_states, layer_gradients = layer_backward(d_states, records.pop(), layers[index], config, rotary)
        gradients |= {_prefix(index) + name: gradient for name, gradient in layer_gradients.items()}
    np.add.at(d_embedding, inputs.reshape(-1), d_states)
    return LossAndGradients(loss.value, gradients, loss.hits, places)


def _output(
    states: Array, weights: Weights, config: Qwen3Config, targets: Ints, place_weights: Array
) -> tuple[Loss, int, Array, Array]:
    """Return the loss, the number of learnt places, and the gradients of the states and of the final norm.

    Only learnt places pass through the output layer: at prompts and padding it would be computed for nothing.
    """
    flat_weights = place_weights.reshape(-1)
    learnt = np.flatnonzero(flat_weights)
    normed, norm_record = rms_norm(states[learnt], weights[FINAL_NORM], config.rms_norm_eps)
    loss = cross_entropy(normed, weights[EMBEDDING], targets.reshape(-1)[learnt], flat_weights[learnt])
    d_learnt, d_final_norm = rms_norm_backward(loss.d_states, norm_record)
    d_states = np.zeros_like(states)
    d_states[learnt] = d_learnt
    return loss, len(learnt), d_states, d_final_norm


def _prefix(index: int) -> str:
    return f"model.layers.{index}."


def _layer_weights(weights: Weights, index: int) -> Weights:
    prefix = _prefix(index)
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}


def _normal(random: np.random.Generator, outputs: int, inputs: int, scale: float) -> Array:
    return (random.standard_normal((outputs, inputs)) * scale).astype(np.float32)
