"""For which models wider scales save time on a CPU: `python -m benchmarks.scales [--rounds 3] [--tokens 12]`.

Our engine, which widens scales of 16 bits where MLX would compute in 16 bits, beside bare mlx-lm, which does not, on
SmolLM2-135M-Instruct (`make test-real` fetches it) in two forms: `real`, whose norms are float32, so that MLX computes
in float32 anyway; and `real16`, the same with norms and scales of 16 bits, as mlx-lm's own conversion leaves them.
"""

import argparse
import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

import mlx.core

from benchmarks.bare import Bare
from benchmarks.discovered import model_in
from benchmarks.figures import Row, Series, compare, table
from benchmarks.subjects import Bench, Sizes, Subject, ask, bench_for
from mcp_local_llm.chat import Message
from training.real_model import made_model

# mlx declares its types in part only.
mx: Any = mlx.core
ASKED = [Message(role="system", content="Be brief."), Message(role="user", content="Write a haiku.")]
"""Short: bare mlx-lm reads it at about a token a second where it computes in 16 bits."""


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each kind (default: 3)")
    parser.add_argument("--tokens", type=int, default=12, help="of an answer (default: 12)")
    options = parser.parse_args()
    sizes = Sizes(options.rounds, decode=options.tokens)
    real = made_model().mlx
    with tempfile.TemporaryDirectory() as folder:
        narrow = narrowed(real, Path(folder).resolve() / "real16")
        for name, model in (("real", real), ("real16", narrow)):
            row = asyncio.run(one_stream(Subject(name, model_in(model), sizes, (), 0.0)))
            print(table([row]), flush=True)


def narrowed(source: Path, folder: Path) -> Path:
    """Write the model of `source` into `folder` with every float32 and float16 as bfloat16; returns the folder."""
    shutil.copytree(source, folder)
    file = folder / "model.safetensors"
    weights = {name: _narrow(array) for name, array in mx.load(str(source / file.name)).items()}
    mx.save_safetensors(str(file), weights, {"format": "mlx"})
    return folder


def _narrow(array: Any) -> Any:
    return array.astype(mx.bfloat16) if array.dtype in (mx.float32, mx.float16) else array


async def one_stream(subject: Subject) -> Row:
    """Compare the tokens per second of one answer, from its first token to its last."""
    series = Series()
    async with bench_for(subject) as bench:
        for number in range(subject.sizes.rounds):
            series.add(number, ours=await _engine_rate(bench), bare=_bare_rate(bench.bare, subject.sizes.decode))
    return compare("decode, engine / bare `stream_generate`", subject.name, series["ours"], series["bare"], "tok/s")


async def _engine_rate(bench: Bench) -> float:
    result, _ = await ask(bench.engine, ASKED, bench.subject.sizes.decode)
    return (result.usage.completion_tokens - 1) / result.timings.decode_s


def _bare_rate(bare: Bare, tokens: int) -> float:
    return bare.decode_rate(ASKED, tokens)


if __name__ == "__main__":
    main()
