"""What keys and values in fewer bits cost in accuracy: `python -m benchmarks.kv_bits [--tokens 320]`.

SmolLM2-135M-Instruct (`make test-real` fetches it) reads the beginning of a text with plain caches and with caches in
8 and in 4 bits, quantized as the engine does it. Of each position it says what comes next; compared are the likeliest
token, and the distribution of all (KL divergence of plain from quantized, in nats, mean over the positions).
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import mlx.core
from mlx_lm.models.cache import make_prompt_cache

from benchmarks.bare import Bare
from mcp_local_llm.engines.mlx.limits import KVBits
from mcp_local_llm.engines.mlx.load.kv_quantization import GROUP_SIZES, KVQuantization
from training.real_model import made_model

# mlx declares its types in part only.
mx: Any = mlx.core
STEP = 64
"""Tokens read at once; a cache is quantized from its first token on, as in the engine."""


@dataclass(frozen=True)
class Accuracy:
    """How far a quantized cache leads away.

    Attributes:
        agreement: share of the positions whose likeliest token is the same.
        divergence: mean KL divergence in nats.
    """

    agreement: float
    divergence: float


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=320, help="of the text (default: 320)")
    parser.add_argument("--text", type=Path, default=Path("README.md"), help="a file (default: README.md)")
    options = parser.parse_args()
    bare = Bare(made_model().mlx)
    ids = bare.tokens_of(options.text.read_text(encoding="utf-8"))[: options.tokens]
    plain = predictions(bare.network, ids, None)
    print(f"SmolLM2-135M-Instruct, {len(ids)} tokens of {options.text.name}\n")
    print("| kv_bits | the same likeliest token | mean KL divergence |")
    print("| --- | --- | --- |")
    for bits in sorted(get_args(KVBits), reverse=True):
        found = accuracy(plain, predictions(bare.network, ids, bits))
        print(f"| {bits} | {found.agreement:.1%} | {found.divergence:.4f} |", flush=True)


def predictions(network: Any, ids: list[int], bits: int | None) -> Any:
    """Return the logarithms of the probabilities of every token at every position, as float32."""
    layers = make_prompt_cache(network)
    if bits is not None:
        KVQuantization(bits, GROUP_SIZES[0]).apply(layers)
    steps: list[Any] = []
    for start in range(0, len(ids), STEP):
        logits = network(mx.array([ids[start : start + STEP]]), cache=layers)[0].astype(mx.float32)
        steps.append(logits - mx.logsumexp(logits, axis=-1, keepdims=True))
        mx.eval(steps[-1])
    return mx.concatenate(steps)


def accuracy(plain: Any, quantized: Any) -> Accuracy:
    """Compare two predictions of the same text."""
    same = (mx.argmax(plain, axis=-1) == mx.argmax(quantized, axis=-1)).mean()
    divergence = (mx.exp(plain) * (plain - quantized)).sum(axis=-1).mean()
    return Accuracy(same.item(), divergence.item())


if __name__ == "__main__":
    main()
