"""The array types of the model."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
"""Activations, weights and gradients."""
Ints = NDArray[np.int32]
"""Token ids."""
Weights = dict[str, Array]
"""Weights, or their gradients, under their names in the safetensors file."""
