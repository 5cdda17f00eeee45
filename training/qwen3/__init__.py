"""Qwen3 in NumPy, forward and backward: enough to train a tiny model on any CPU.

Each block has a forward function that returns its output and a record of what its backward function needs. Weights
keep the names of the safetensors file. It knows no tokenizer and no dialogue.
"""

from training.qwen3.arrays import Array, Ints, Weights
from training.qwen3.config import Qwen3Config
from training.qwen3.model import LossAndGradients, initial_weights, loss_and_gradients

__all__ = ["Array", "Ints", "LossAndGradients", "Qwen3Config", "Weights", "initial_weights", "loss_and_gradients"]
