"""Train `tiny` from scratch: `python -m training.train OUT`.

Writes a model folder that `mlx_lm.load` opens as it is. One seed gives one result on one machine with one NumPy;
another processor may round differently.
"""

import argparse
import os
import sys
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from training.curriculum import Curriculum
from training.folder import write_config, write_weights
from training.optimizer import AdamW, learning_rate
from training.qwen3 import LossAndGradients, Qwen3Config, Weights, initial_weights, loss_and_gradients
from training.samples import Batch, batches
from training.tokenizer import make_tokenizer

_VOCABULARY = 768
_PEAK_LEARNING_RATE = 3e-3
_BATCH_TOKENS = 1024
# A step is the sum of so many batches, one thread each.
_BATCHES_PER_STEP = 2
# NumPy's BLAS reads these once, when it is loaded. One thread each, because the batches of a step already run side
# by side, and because sums then come out the same however many cores there are.
_ONE_BLAS_THREAD = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "VECLIB_MAXIMUM_THREADS": "1"}


@dataclass(frozen=True)
class EpochReport:
    """How an epoch went: mean loss of a step in nats, and the share of tokens whose likeliest guess was right."""

    loss: float
    accuracy: float


class Trainer:
    """Owner of the weights while they are trained."""

    def __init__(self, config: Qwen3Config, seed: int, pool: Executor) -> None:
        self.weights: Weights = initial_weights(config, np.random.default_rng(seed))
        self._config = config
        self._optimizer = AdamW(self.weights)
        self._pool = pool

    def epoch(self, every: list[Batch], done: float, share: float) -> EpochReport:
        """Learn from all batches.

        Args:
            every: the batches, in the order in which they are taken.
            done: share of the training that lies behind, 0 to 1.
            share: what this epoch adds to it.
        """
        loss, hits, places = 0.0, 0, 0
        steps = range(0, len(every), _BATCHES_PER_STEP)
        for start in steps:
            progress = done + share * start / len(every)
            results = self._step(every[start : start + _BATCHES_PER_STEP], progress)
            loss += sum(result.loss for result in results)
            hits += sum(result.hits for result in results)
            places += sum(result.places for result in results)
        return EpochReport(loss / len(steps), hits / places)

    def _step(self, step: list[Batch], progress: float) -> list[LossAndGradients]:
        total = np.float32(sum(float(batch.weights.sum()) for batch in step))

        def learn(batch: Batch) -> LossAndGradients:
            return loss_and_gradients(self.weights, self._config, batch.inputs, batch.targets, batch.weights / total)

        results = list(self._pool.map(learn, step))
        gradients = results[0].gradients
        for result in results[1:]:
            for name, gradient in result.gradients.items():
                gradients[name] += gradient
        self._optimizer.step(gradients, learning_rate(_PEAK_LEARNING_RATE, self._optimizer.steps, progress))
        return results


def train(folder: Path, *, epochs: int, seed: int) -> None:
    """Train for `epochs` epochs and write the model folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(folder, _VOCABULARY)
    config = Qwen3Config(vocab_size=_VOCABULARY)
    curriculum = Curriculum(tokenizer, seed)
    random = Random(seed)
    started = time.monotonic()
    with ThreadPoolExecutor(_BATCHES_PER_STEP) as pool:
        trainer = Trainer(config, seed, pool)
        print(f"{sum(weight.size for weight in trainer.weights.values())} parameters, {len(tokenizer)} tokens")
        for number in range(epochs):
            every = list(batches(curriculum.epoch(number), random, _BATCH_TOKENS))
            report = trainer.epoch(every, number / epochs, 1 / epochs)
            seconds = time.monotonic() - started
            print(
                f"epoch {number + 1}/{epochs}: {len(every)} batches, loss {report.loss:.4f}, "
                f"right {report.accuracy:.2%}, {seconds:.0f} s",
                flush=True,
            )
    write_config(folder, config, tokenizer)
    write_weights(folder, trainer.weights)
    print(f"wrote {folder}, {sum(file.stat().st_size for file in folder.iterdir())} bytes")


def main() -> None:
    """Read the command line and train."""
    if any(os.environ.get(name) != value for name, value in _ONE_BLAS_THREAD.items()):
        command = [sys.executable, "-m", "training.train", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **_ONE_BLAS_THREAD})
    parser = argparse.ArgumentParser(prog="python -m training.train", description="Train the built-in model tiny.")
    parser.add_argument("out", type=Path, help="the model folder to write")
    parser.add_argument("--epochs", type=int, default=240)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    train(arguments.out, epochs=arguments.epochs, seed=arguments.seed)


if __name__ == "__main__":
    main()
