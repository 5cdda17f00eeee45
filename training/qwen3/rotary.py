"""Rotary position embedding in the half-split form of Qwen (Su et al. 2021, arXiv 2104.09864)."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from training.qwen3.arrays import Array


@dataclass(frozen=True)
class Rotary:
    """Cosine and sine of every position and frequency, each of shape (positions, head_dim / 2)."""

    cosine: Array
    sine: Array

    @classmethod
    def table(cls, positions: int, head_dim: int, theta: float) -> Self:
        """Return the table of the first `positions` positions."""
        half = head_dim // 2
        frequencies = theta ** (-np.arange(half) / half)
        angles = np.arange(positions)[:, None] * frequencies
        return cls(np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32))

    def inverse(self) -> "Rotary":
        """Return the table that turns back: a rotation's gradient is the opposite rotation."""
        return Rotary(self.cosine, -self.sine)


def rotate(vectors: Array, rotary: Rotary) -> Array:
    """Return `vectors` (…, positions, head_dim), each turned by its position's angles."""
    half = vectors.shape[-1] // 2
    left, right = vectors[..., :half], vectors[..., half:]
    turned = np.empty_like(vectors)
    turned[..., :half] = left * rotary.cosine - right * rotary.sine
    turned[..., half:] = left * rotary.sine + right * rotary.cosine
    return turned
