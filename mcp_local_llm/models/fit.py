"""Whether a model fits into memory, and how fast it will be. Pure.

Everything is computed from numbers that are passed in: the model's own, the machine's memory, its bandwidth. Nothing
here reads the machine, and nothing is loaded or unloaded.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mcp_local_llm.values.errors import InsufficientMemoryError
from mcp_local_llm.values.machine import Memory
from mcp_local_llm.values.model import UNKNOWN_KV_BYTES, ModelInfo, human_bytes

GIB = 2**30

WEIGHT_OVERHEAD = 1.05
"""Memory of loaded weights per byte on disk; the rest are buffers and alignment."""

PREFILL_BYTES = GIB
"""Memory that reading a prompt takes on top, at most: activations of one chunk and MLX's pool of freed buffers."""

PREFILL_SHARE = 0.25
"""The same as a share of the weights; it holds for models below 4 GiB."""


KV_GROUP = 32
"""Values of a quantized KV cache that share a scale and an offset of 16 bits each, where the least of them do."""

RESERVE_SHARE = 0.15
"""Memory that stays with the system, as a share of all: 4.8 GiB of 32 GiB."""

MAX_RESERVE_BYTES = 8 * GIB
"""The most that stays with the system, however large the machine."""


@dataclass(frozen=True)
class LoadPlan:
    """What loading a model would take, and what there is. Sizes are in bytes, contexts in tokens.

    Attributes:
        context: tokens of context that memory is reserved for, at most the model's own window.
        ceiling: the most that may be taken; `limit` names what sets it.
        largest_context: the longest context that would fit; 0 where not even the weights do.
        evicts: it fits only when what this process holds now is given back first.
        forced: the answer is ignored on the user's demand.
    """

    model: ModelInfo
    context: int
    weights: int
    kv_cache: int
    prefill: int
    ceiling: int
    limit: str
    largest_context: int
    evicts: bool = False
    forced: bool = False

    @property
    def needed(self) -> int:
        """Bytes that the model takes with its context."""
        return self.weights + self.kv_cache + self.prefill

    @property
    def fits(self) -> bool:
        """Whether there is room; forcing does not change it."""
        return self.needed <= self.ceiling

    def words(self) -> str:
        """Say the plan in one or two sentences."""
        needs = (
            f"{self.model.id} needs {human_bytes(self.needed)} ({human_bytes(self.weights)} weights, "
            f"{human_bytes(self.kv_cache)} KV cache for {self.context:,} tokens, {human_bytes(self.prefill)} to read "
            f"prompts); {human_bytes(self.ceiling)} can be had ({self.limit})"
        )
        if self.fits:
            return f"{needs}. Up to {self.largest_context:,} tokens of context fit."
        if self.largest_context:
            return f"{needs}. With at most {self.largest_context:,} tokens of context it would fit."
        return f"{needs}. It fits with no context, however short."


def plan_load(
    model: ModelInfo,
    memory: Memory,
    *,
    context: int,
    slots: int = 1,
    kv_bits: int | None = None,
    held_bytes: int = 0,
    force: bool = False,
) -> LoadPlan:
    """Compare what a model needs with the least of three ceilings.

    The ceilings: physical memory less a reserve for the system; what is available plus what we hold and would give
    back; the GPU's limit. On a Mac of 32 GB these are about 29, the moment's, and 22.9 GB.

    Args:
        model: what is to be loaded.
        memory: of this machine, now.
        context: tokens to reserve KV cache for; a model set up for another context is planned with that.
        slots: how many times that much is reserved, for an engine that keeps a cache for each of its calls.
        kv_bits: of the keys and values that the engine keeps; None are the 16 that the model's figure assumes.
        held_bytes: what this process holds for the resident model and would give back first.
        force: remember that the user wants it loaded in any case.
    """
    if model.endpoint is not None:
        # Its server has the memory; here it takes none.
        return LoadPlan(model, 0, 0, 0, 0, memory.total, f"it runs on {model.endpoint.name}", model.context_length or 0)
    context = model.serving.context or context
    window = model.context_length or context
    # The machines of a cluster share weights and KV cache; the plan is for this one.
    machines = model.cluster.machines if model.cluster else 1
    per_token = UNKNOWN_KV_BYTES if model.kv_bytes_per_token is None else model.kv_bytes_per_token
    per_token = kv_cache_bytes(per_token * slots // machines, kv_bits)
    reserved = min(context, window)
    weight_bytes = model.weight_bytes // machines
    weights = int(weight_bytes * WEIGHT_OVERHEAD)
    prefill = min(PREFILL_BYTES, int(weight_bytes * PREFILL_SHARE))
    reserve = _reserve(memory)
    ceilings = [
        (memory.total - reserve, f"{human_bytes(memory.total)} of memory less {human_bytes(reserve)} for the system"),
        (memory.available + held_bytes, "the memory that is free now"),
    ]
    if memory.gpu_limit is not None:
        ceilings.append((memory.gpu_limit, "the most that the GPU may hold"))
    ceiling, limit = min(ceilings)
    left = ceiling - weights - prefill
    largest = 0 if left < 0 else min(left // per_token, window) if per_token else window
    needed = weights + prefill + reserved * per_token
    return LoadPlan(
        model=model,
        context=reserved,
        weights=weights,
        kv_cache=reserved * per_token,
        prefill=prefill,
        ceiling=ceiling,
        limit=limit,
        largest_context=largest,
        evicts=memory.available < needed <= ceiling,
        forced=force,
    )


def nearest_smaller(plan: LoadPlan, models: Iterable[ModelInfo]) -> ModelInfo | None:
    """Return the largest sound model of the same format that fits under the plan's ceiling; None where none does."""

    def fits(model: ModelInfo) -> bool:
        memory = Memory(total=2**62, available=plan.ceiling)
        return plan_load(model, memory, context=plan.context).fits

    smaller = [
        model
        for model in models
        if model.usable
        and not model.diagnostic
        and model.format == plan.model.format
        and model.weight_bytes < plan.model.weight_bytes
        and fits(model)
    ]
    return max(smaller, key=lambda model: (model.weight_bytes, model.id), default=None)


def require_fit(plan: LoadPlan, models: Iterable[ModelInfo] = ()) -> None:
    """Let a plan pass that fits or is forced.

    Args:
        plan: what is to be loaded.
        models: among which to look for one that would fit.

    Raises:
        InsufficientMemoryError: with the numbers, the longest context and the nearest smaller model that fit.
    """
    if plan.fits or plan.forced:
        return
    smaller = nearest_smaller(plan, models)
    advice = f" {smaller.id} ({human_bytes(smaller.weight_bytes)}) would fit." if smaller else ""
    raise InsufficientMemoryError(f"{plan.words()}{advice} Close other programs, or choose a smaller model or context.")


def kv_cache_bytes(at_16_bits: int, bits: int | None) -> int:
    """Return the most that a KV cache of so many bytes takes when keys and values are quantized to `bits`.

    Each `KV_GROUP` values share 32 bits more; where 64 can share them (the heads' sizes tell), it takes less.
    """
    return at_16_bits if bits is None else -(-at_16_bits * (bits + 32 // KV_GROUP) // 16)


def lasting_ceiling(memory: Memory) -> int:
    """Return the most bytes that a model may take here, whatever other programs hold at the moment."""
    ceiling = memory.total - _reserve(memory)
    return ceiling if memory.gpu_limit is None else min(ceiling, memory.gpu_limit)


def _reserve(memory: Memory) -> int:
    """Return the bytes that stay with the system."""
    return min(int(memory.total * RESERVE_SHARE), MAX_RESERVE_BYTES)


def published_rule(parameters: int, bits: int) -> int:
    """Return the bytes that a model takes by the common rule: billions of parameters * bits / 8 + 2 GB.

    For models that are not on this machine; those that are have exact sizes and `plan_load`.
    """
    return parameters * bits // 8 + 2 * 10**9
