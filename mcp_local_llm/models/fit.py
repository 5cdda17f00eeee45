"""Computes whether a model fits into memory, from the numbers of the model and of the machine. Pure functions."""

from collections.abc import Iterable
from dataclasses import dataclass

from mcp_local_llm.values.errors import InsufficientMemoryError
from mcp_local_llm.values.machine import Memory
from mcp_local_llm.values.model import UNKNOWN_KV_BYTES, ModelInfo, human_bytes

GIB = 2**30

WEIGHT_OVERHEAD = 1.05
"""Bytes of memory for each byte of weights on disk; the rest are buffers and alignment."""

PREFILL_BYTES = GIB
"""The most memory of a prefill besides: activations of one chunk and MLX's pool of freed buffers."""

PREFILL_SHARE = 0.25
"""The same as a share of the weights, for models below 4 GiB."""


KV_GROUP = 32
"""The fewest values of a quantized KV cache that share a scale and an offset of 16 bits each."""

RESERVE_SHARE = 0.15
"""Memory that is reserved for the system, as a share of all: 4.8 GiB of 32 GiB."""

MAX_RESERVE_BYTES = 8 * GIB
"""The most memory that is reserved for the system."""


@dataclass(frozen=True)
class LoadPlan:
    """The memory that the load of a model needs, and its limit. Sizes are in bytes, contexts in tokens.

    Attributes:
        context: tokens of context that memory is reserved for, at most the model's context window.
        ceiling: the most memory that the model may use; `limit` names the reason.
        largest_context: the longest context that would fit; 0 where not even the weights fit.
        forced: the user demands the load even where it does not fit.
    """

    model: ModelInfo
    context: int
    weights: int
    kv_cache: int
    prefill: int
    ceiling: int
    limit: str
    largest_context: int
    forced: bool = False

    @property
    def needed(self) -> int:
        """Bytes that the model needs with its context."""
        return self.weights + self.kv_cache + self.prefill

    @property
    def fits(self) -> bool:
        """Whether the model fits; `forced` does not change it."""
        return self.needed <= self.ceiling

    def words(self) -> str:
        """Return the plan in one or two sentences."""
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
    resident_bytes: int = 0,
    force: bool = False,
) -> LoadPlan:
    """Compare the memory that a model needs with the least of three ceilings.

    The ceilings are: physical memory less a reserve for the system; available memory plus the memory of the resident
    model; the GPU's limit. On a Mac with 32 GB the first is about 29 GB, the last 22.9 GB.

    Args:
        model: the model to load.
        memory: of this machine, now.
        context: tokens to reserve KV cache for; `model.serving.context` wins over it.
        slots: number of such KV caches, for an engine that has one for each concurrent request.
        kv_bits: bits of the cached keys and values; None means 16.
        resident_bytes: bytes of the resident model, which would be unloaded first.
        force: the user demands the load in any case.
    """
    if model.endpoint is not None:
        # The server of the endpoint has the memory.
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
        (memory.available + resident_bytes, "the memory that is free now"),
    ]
    if memory.gpu_limit is not None:
        ceilings.append((memory.gpu_limit, "the most that the GPU may hold"))
    ceiling, limit = min(ceilings)
    left = ceiling - weights - prefill
    largest = 0 if left < 0 else min(left // per_token, window) if per_token else window
    return LoadPlan(
        model=model,
        context=reserved,
        weights=weights,
        kv_cache=reserved * per_token,
        prefill=prefill,
        ceiling=ceiling,
        limit=limit,
        largest_context=largest,
        forced=force,
    )


def nearest_smaller(plan: LoadPlan, models: Iterable[ModelInfo]) -> ModelInfo | None:
    """Return the largest sound model of the same format that fits under the plan's ceiling; None for none."""

    def fits(model: ModelInfo) -> bool:
        memory = Memory(total=2**62, available=plan.ceiling)
        return plan_load(model, memory, context=plan.context).fits

    smaller = [
        model
        for model in models
        if model.chats
        and not model.diagnostic
        and model.format == plan.model.format
        and model.weight_bytes < plan.model.weight_bytes
        and fits(model)
    ]
    return max(smaller, key=lambda model: (model.weight_bytes, model.id), default=None)


def require_fit(plan: LoadPlan, models: Iterable[ModelInfo] = ()) -> None:
    """Refuse a plan that does not fit and is not forced.

    Args:
        plan: of the model to load.
        models: candidates for a smaller model, which the message names.

    Raises:
        InsufficientMemoryError: with the numbers, the longest context and the nearest smaller model that fit.
    """
    if plan.fits or plan.forced:
        return
    smaller = nearest_smaller(plan, models)
    advice = f" {smaller.id} ({human_bytes(smaller.weight_bytes)}) would fit." if smaller else ""
    raise InsufficientMemoryError(f"{plan.words()}{advice} Close other programs, or choose a smaller model or context.")


def kv_cache_bytes(at_16_bits: int, bits: int | None) -> int:
    """Return the most bytes of a KV cache whose keys and values are quantized to `bits`.

    Each `KV_GROUP` values share 32 bits more; head sizes with groups of 64 need less.
    """
    return at_16_bits if bits is None else -(-at_16_bits * (bits + 32 // KV_GROUP) // 16)


def lasting_ceiling(memory: Memory) -> int:
    """Return the most bytes that a model may use on this machine while no other program needs memory."""
    ceiling = memory.total - _reserve(memory)
    return ceiling if memory.gpu_limit is None else min(ceiling, memory.gpu_limit)


def _reserve(memory: Memory) -> int:
    """Return the bytes that are reserved for the system."""
    return min(int(memory.total * RESERVE_SHARE), MAX_RESERVE_BYTES)


def published_rule(parameters: int, bits: int) -> int:
    """Return the bytes that a model needs by the common rule: billions of parameters * bits / 8 + 2 GB.

    It is for models that are not on this machine; `plan_load` uses the exact sizes of the others.
    """
    return parameters * bits // 8 + 2 * 10**9
