"""AdamW with a clipped gradient, and the schedule of its learning rate.

Loshchilov and Hutter 2019, arXiv 1711.05101.
"""

import math

import numpy as np

from training.qwen3 import Weights

_FIRST_DECAY, _SECOND_DECAY = 0.9, 0.98
_WEIGHT_DECAY = 0.01
_EPSILON = 1e-8
_LARGEST_GRADIENT = 1.0
_WARMUP_STEPS = 40
# The last steps still move a little.
_LAST_RATE = 0.02


class AdamW:
    """Owner of the running moments of every weight; it changes the weights in place."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._first = {name: np.zeros_like(weight) for name, weight in weights.items()}
        self._second = {name: np.zeros_like(weight) for name, weight in weights.items()}
        self._steps = 0

    @property
    def steps(self) -> int:
        """Steps taken so far."""
        return self._steps

    def step(self, gradients: Weights, learning_rate: float) -> None:
        """Take one step against the gradients."""
        self._steps += 1
        clip = np.float32(min(1.0, _LARGEST_GRADIENT / (_norm(gradients) + 1e-6)))
        # Both moments start at zero; dividing by these takes that start out of the mean.
        first_share = np.float32(1 - _FIRST_DECAY**self._steps)
        second_share = np.float32(1 - _SECOND_DECAY**self._steps)
        for name, weight in self._weights.items():
            gradient = gradients[name] * clip
            first, second = self._first[name], self._second[name]
            first *= np.float32(_FIRST_DECAY)
            first += np.float32(1 - _FIRST_DECAY) * gradient
            second *= np.float32(_SECOND_DECAY)
            second += np.float32(1 - _SECOND_DECAY) * gradient * gradient
            update = (first / first_share) / (np.sqrt(second / second_share) + np.float32(_EPSILON))
            # Norm weights are vectors around one: pulling them to zero would only hurt.
            if weight.ndim > 1:
                update += np.float32(_WEIGHT_DECAY) * weight
            weight -= np.float32(learning_rate) * update


def learning_rate(peak: float, step: int, progress: float) -> float:
    """Return the rate of a step: a linear warm-up, then half a cosine down to 2 % of `peak`.

    Args:
        peak: the highest rate.
        step: steps taken, from 0.
        progress: the done share of the training, 0 to 1.
    """
    warmup = min(1.0, (step + 1) / _WARMUP_STEPS)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return peak * warmup * (_LAST_RATE + (1 - _LAST_RATE) * cosine)


def _norm(gradients: Weights) -> float:
    return math.sqrt(sum(float(np.vdot(gradient, gradient)) for gradient in gradients.values()))
