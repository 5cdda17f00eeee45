"""Cross entropy of the next token, with the embedding matrix as output layer (tied weights)."""

from dataclasses import dataclass

import numpy as np

from training.qwen3.arrays import Array, Ints


@dataclass(frozen=True)
class Loss:
    """The loss of some places and its gradients.

    Attributes:
        value: the weighted sum of the places' losses, in nats.
        hits: places whose likeliest token is the right one.
        d_states: gradient of the states, (places, hidden).
        d_embedding: gradient of the embedding as output layer, (vocabulary, hidden).
    """

    value: float
    hits: int
    d_states: Array
    d_embedding: Array


def cross_entropy(states: Array, embedding: Array, targets: Ints, weights: Array) -> Loss:
    """Return the loss of `states` (places, hidden), each place's loss times its weight."""
    places = np.arange(len(targets))
    logits = states @ embedding.T
    logits -= logits.max(axis=-1, keepdims=True)
    target_logits = logits[places, targets]
    hits = int(np.count_nonzero(logits.argmax(axis=-1) == targets))
    # From here on the same array holds probabilities, then the gradient: probability minus one at the target.
    np.exp(logits, out=logits)
    totals: Array = logits.sum(axis=-1)
    value = float(((np.log(totals) - target_logits) * weights).sum())
    d_logits = logits
    d_logits /= totals[:, None]
    d_logits[places, targets] -= 1
    d_logits *= weights[:, None]
    return Loss(value, hits, d_logits @ embedding, d_logits.T @ states)
