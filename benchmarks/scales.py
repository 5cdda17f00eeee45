"""For which models wider scales save time on a CPU: `python -m benchmarks.scales [--rounds 5]`.

A step of SmolLM2-135M-Instruct (`make test-real` fetches it) with its scales in 16 bits and in 32, in two forms: `real`
has norms of 32 bits, so that MLX computes in 32 bits with either; `real16` has norms of 16 bits, as mlx-lm's conversion
leaves them. The engine widens scales for the second kind alone. Processor time is what counts, because other work on
the machine does not change it much; the sides take turns.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any, cast

import mlx.core
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import load

from benchmarks.figures import Row, Series, compare, table
from training.real_model import made_model

# mlx declares its types in part only.
mx: Any = mlx.core
TOKEN = 42
"""Any token: what a step costs does not depend on it."""


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="steps of each kind (default: 5)")
    rounds = parser.parse_args().rounds
    real = made_model().mlx
    with tempfile.TemporaryDirectory() as folder:
        narrow = rewritten(real, Path(folder) / "real16", lambda name: mx.bfloat16)
        for name, model in (("real", real), ("real16", narrow)):
            wide = rewritten(model, Path(folder) / f"{name}-wide", lambda name: mx.float32 if _scale(name) else None)
            print(table([steps(name, model, wide, rounds)]), flush=True)


def rewritten(source: Path, folder: Path, dtype: Callable[[str], Any]) -> Path:
    """Copy the model of `source` with its floats in the type that `dtype` names for them, or as they are for None."""
    copytree(source, folder)
    file = folder / "model.safetensors"
    weights = mx.load(str(source / file.name))
    changed = {
        name: array.astype(dtype(name)) if array.dtype != mx.uint32 and dtype(name) else array
        for name, array in weights.items()
    }
    mx.save_safetensors(str(file), changed, {"format": "mlx"})
    return folder


def _scale(name: str) -> bool:
    return name.endswith((".scales", ".biases"))


def steps(name: str, narrow: Path, wide: Path, rounds: int) -> Row:
    """Compare the tokens for a second of processor time."""
    series = Series()
    networks = {side: cast(Any, load(str(folder))[0]) for side, folder in (("narrow", narrow), ("wide", wide))}
    for number in range(-1, rounds):
        series.add(number, **{side: _rate(network) for side, network in networks.items()})
    what = "a step, scales of 32 bits / of 16, tokens for a second of processor time"
    return compare(what, name, series["wide"], series["narrow"], "tok/s")


def _rate(network: Any) -> float:
    """Return how many steps like this one a second of the processor would do."""
    started = time.process_time()
    mx.eval(network(mx.array([[TOKEN]]), cache=make_prompt_cache(network)))
    return 1 / (time.process_time() - started)


if __name__ == "__main__":
    main()
