"""Memory of MLX: what it holds, its buffer pool, wired memory, and returning it to the system.

Runs on the MLX thread only.
"""

import gc
import importlib
import traceback

import mlx.core as mx

from mcp_local_llm.engines.mlx import heap
from mcp_local_llm.engines.mlx.batch.admission import FreeMemory
from mcp_local_llm.engines.mlx.limits import EngineLimits, WiredPolicy
from mcp_local_llm.values.engine import EngineMemory

BUFFER_CACHE_BYTES = 2**30
"""Freed buffers that MLX may keep for reuse. Its own default is as large as its memory limit, so it never lets go."""

UNLIMITED = 2**62


def set_up() -> None:
    """Bound the buffer pool, keep large pieces out of the heap, and keep mlx-lm from wiring three quarters of memory.

    mlx-lm does the last for every generation. With the KV cache wired as well, kernel panics were reported
    (ml-explore/mlx issue 3186, ml-explore/mlx-lm issues 883 and 1666).
    """
    mx.set_cache_limit(BUFFER_CACHE_BYTES)
    heap.map_large_pieces()
    generate = importlib.import_module("mlx_lm.generate")
    vars(generate)["maybe_set_recommended_wired_limit"] = _no_wired_limit


def wire_weights(policy: WiredPolicy) -> None:
    """Wire the memory in use right after a load, so that the system does not page weights out between calls.

    Only the weights are in memory then: KV caches stay pageable. Metal only; it was not run on Metal.
    """
    if not mx.metal.is_available():
        return
    recommended = int(mx.device_info().get("max_recommended_working_set_size", 0))
    mx.set_wired_limit(min(mx.get_active_memory(), recommended) if policy == "auto" else 0)


def read_free_memory(limits: EngineLimits, *, promised: int, live: int, prefixes: int) -> FreeMemory:
    """Read the memory that MLX can still allocate; see `FreeMemory`."""
    if limits.memory is None:
        return FreeMemory(UNLIMITED, promised, live, prefixes)
    memory = limits.memory()
    free = memory.available + mx.get_cache_memory()
    if memory.gpu_limit is not None:
        free = min(free, memory.gpu_limit - mx.get_active_memory())
    return FreeMemory(max(free, 0), promised, live, prefixes)


def held(prefix_bytes: int) -> EngineMemory:
    """Read the memory that MLX holds now, in bytes."""
    return EngineMemory(mx.get_active_memory(), mx.get_cache_memory(), prefix_bytes)


def clear_frames(error: BaseException) -> None:
    """Clear the local variables of failed calls: a traceback keeps them, and with them weights or KV caches."""
    failed: BaseException | None = error
    while failed is not None:
        traceback.clear_frames(failed.__traceback__)
        failed = failed.__cause__ or failed.__context__


def release() -> None:
    """Return all unreferenced memory to the system."""
    # Modules and their arrays refer to each other, so only the collector finds them all.
    gc.collect()
    mx.clear_cache()
    heap.trim()


def _no_wired_limit() -> None:
    """Stand in for mlx-lm's function: there is no old limit to restore."""
