"""Prefixes of known numbers, to be kept in files."""

from pathlib import Path
from typing import Any

import mlx.core
from mlx_lm.models.cache import ArraysCache, KVCache

from mcp_local_llm.engines.mlx.load.kv_cache import Layers, held_bytes
from mcp_local_llm.engines.mlx.prefix.cache import PrefixEntry

# mlx declares its types in part only.
mx: Any = mlx.core
LENGTH = 2048
MIB = 2**20


def never() -> bool:
    return False


def always() -> bool:
    return True


def key(length: int, first: int = 1) -> bytes:
    """Tokens `first`, 2, 3 ..."""
    return b"".join(number.to_bytes(4, "little") for number in (first, *range(2, length + 1)))


def entry(length: int = LENGTH, first: int = 1, *, trimmable: bool = True) -> PrefixEntry:
    """A prefix whose keys and values are the numbers 0, 1, 2 ..., or a state that cannot be cut back."""
    layer: Any
    if trimmable:
        layer, numbers = KVCache(), mx.arange(length, dtype=mx.float32).reshape(1, 1, length, 1)
        layer.update_and_fetch(numbers, numbers)
    else:
        layer = ArraysCache(2)
        layer[0] = mx.full((1, 4), float(length))
    layers: Layers = [layer]
    return PrefixEntry(key(length, first), length, layers, held_bytes(layers), trimmable, "user")


def files_of(root: Path) -> list[Path]:
    return sorted(root.glob("*/*"))
