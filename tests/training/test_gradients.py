"""The hand-written backward pass against MLX autograd."""

from dataclasses import asdict
from typing import Any, cast

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx import utils
from mlx_lm.models import qwen3

from training.qwen3 import Array, Ints, Qwen3Config, Weights, initial_weights, loss_and_gradients

CONFIG = Qwen3Config(vocab_size=64, hidden_size=64, intermediate_size=96, num_hidden_layers=2)
SHAPE = (3, 20)


def test_loss_and_every_gradient_equal_those_of_mlx_autograd():
    random = np.random.default_rng(0)
    weights = initial_weights(CONFIG, random)
    # As small as at the start of a training, the embedding would hide errors of the layers above it.
    weights["model.embed_tokens.weight"] *= 3
    inputs = random.integers(0, CONFIG.vocab_size, SHAPE, dtype=np.int32)
    targets = random.integers(0, CONFIG.vocab_size, SHAPE, dtype=np.int32)
    place_weights = (random.random(SHAPE) * (random.random(SHAPE) < 0.5)).astype(np.float32)

    ours = loss_and_gradients(weights, CONFIG, inputs, targets, place_weights)
    loss, gradients = mlx_loss_and_gradients(weights, inputs, targets, place_weights)

    assert abs(ours.loss - loss) < 1e-4
    assert ours.places == np.count_nonzero(place_weights)
    assert ours.gradients.keys() == gradients.keys()
    for name, gradient in gradients.items():
        largest_error = np.abs(ours.gradients[name] - gradient).max() / np.abs(gradient).max()
        assert largest_error < 1e-4, name


def test_places_without_weight_leave_no_trace():
    random = np.random.default_rng(1)
    weights = initial_weights(CONFIG, random)
    inputs = random.integers(0, CONFIG.vocab_size, SHAPE, dtype=np.int32)
    place_weights = np.ones(SHAPE, np.float32)
    place_weights[:, 10:] = 0
    changed = inputs.copy()
    changed[:, 12:] = 0

    one = loss_and_gradients(weights, CONFIG, inputs, inputs, place_weights)
    other = loss_and_gradients(weights, CONFIG, changed, changed, place_weights)

    assert np.isclose(one.loss, other.loss)
    for name, gradient in one.gradients.items():
        assert np.allclose(gradient, other.gradients[name], atol=1e-4), name


def mlx_loss_and_gradients(
    weights: Weights, inputs: Ints, targets: Ints, place_weights: Array
) -> tuple[float, dict[str, Array]]:
    settings = {**asdict(CONFIG), "model_type": "qwen3", "tie_word_embeddings": True}
    model = cast(Any, qwen3.Model)(cast(Any, qwen3.ModelArgs).from_dict(settings))
    model.update(cast(Any, utils).tree_unflatten([(name, mx.array(weight)) for name, weight in weights.items()]))

    def loss(model: Any) -> mx.array:
        each = cast(Any, nn).losses.cross_entropy(model(mx.array(inputs)), mx.array(targets))
        return (each * mx.array(place_weights)).sum()

    value, gradients = cast(Any, nn).value_and_grad(model, loss)(model)
    flat = cast(Any, utils).tree_flatten(gradients)
    return value.item(), {name: np.array(gradient) for name, gradient in flat}
