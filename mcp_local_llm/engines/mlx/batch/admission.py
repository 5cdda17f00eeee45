"""Decides whether a request fits into memory beside the running ones, and what is evicted for it. Pure.

`models/fit.py` checks once whether a model fits; this module checks before each prefill, because KV caches grow with
the requests. MLX itself enforces no limit: an allocation beyond the memory is swapped, killed or ends in a late error.
"""

from dataclasses import dataclass

from mcp_local_llm.engines.mlx.load.shape import NetworkShape
from mcp_local_llm.values.errors import InsufficientMemoryError
from mcp_local_llm.values.model import human_bytes

PREFILL_STEPS = (2048, 1024, 512, 256, 128)
"""Tokens of a prompt computed at once, best first. Fewer cost speed (weights are read once a step) and save memory."""

LEAST_ANSWER = 256
"""An answer limit that the caller did not set may shrink to this many tokens before the request is refused."""


MIN_KV_BUDGET = 256 * 2**20
MAX_KV_BUDGET = 8 * 2**30
KV_BUDGET_SHARE = 0.25
"""KV kept for reuse, with what runs: a quarter of the memory that is free after the load, within these bounds."""


@dataclass(frozen=True)
class FreeMemory:
    """Free and reclaimable memory at the moment of admission, in bytes.

    Attributes:
        free: bytes that MLX can still allocate: free memory within the GPU's limit, and its own pool of freed buffers.
        promised: growth of running requests that is still to come.
        live: KV caches of running requests, with what was promised to them; freed when they end.
        prefixes: KV caches kept for reuse; can be evicted.
    """

    free: int
    promised: int = 0
    live: int = 0
    prefixes: int = 0


@dataclass(frozen=True)
class RequestPlan:
    """How a request is run.

    Attributes:
        waits: it does not fit beside the running requests, but will when they have ended.
        prefill_step: tokens of the prompt to compute at once, at most.
        max_tokens: of the answer; below the requested number only where the caller named no limit.
        kv_bytes: the request's own KV cache at its longest.
        keep_prefixes: bytes of kept prefixes that may stay.
    """

    prefill_step: int
    max_tokens: int
    kv_bytes: int
    keep_prefixes: int
    waits: bool = False


def plan_request(
    prompt_tokens: int, max_tokens: int, *, asked: bool, shape: NetworkShape, memory: FreeMemory, model: str
) -> RequestPlan:
    """Fit a request in: with a smaller prefill step, then with fewer kept prefixes, else later, else not at all.

    Args:
        prompt_tokens: all of the prompt, cached parts too: a hit is copied.
        max_tokens: of the answer.
        asked: the caller named `max_tokens`; a default may shrink to `LEAST_ANSWER`.
        shape: of the network.
        memory: memory at this moment.
        model: its name, for the message.

    Raises:
        InsufficientMemoryError: it would not fit with nothing else in memory; with the numbers.
    """
    context = prompt_tokens + max_tokens
    kv_bytes = context * shape.kv_bytes_per_token
    left = memory.free - memory.promised - kv_bytes
    for step in PREFILL_STEPS:
        if shape.prefill_bytes(min(step, prompt_tokens), prompt_tokens) <= left:
            return RequestPlan(step, max_tokens, kv_bytes, memory.prefixes)
    step = PREFILL_STEPS[-1]
    missing = shape.prefill_bytes(min(step, prompt_tokens), prompt_tokens) - left
    if missing <= memory.prefixes:
        return RequestPlan(step, max_tokens, kv_bytes, memory.prefixes - missing)
    if missing <= memory.prefixes + memory.live:
        return RequestPlan(step, max_tokens, kv_bytes, 0, waits=True)
    ceiling = memory.free - memory.promised + memory.live + memory.prefixes
    fitting = _largest_answer(prompt_tokens, shape, ceiling)
    if not asked and fitting >= LEAST_ANSWER:
        kv_bytes = (prompt_tokens + fitting) * shape.kv_bytes_per_token
        return RequestPlan(step, fitting, kv_bytes, 0, waits=memory.live > 0)
    raise InsufficientMemoryError(_refusal(prompt_tokens, max_tokens, shape, ceiling, model))


def kv_budget(free: int, asked: int | None) -> int:
    """Return the bytes of KV caches to keep, running requests included; `free` is the free memory after the load."""
    if asked is not None:
        return asked
    return max(MIN_KV_BUDGET, min(MAX_KV_BUDGET, int(free * KV_BUDGET_SHARE)))


def _largest_answer(prompt_tokens: int, shape: NetworkShape, ceiling: int) -> int:
    """Return the longest answer, in tokens, that fits under `ceiling` with the smallest prefill step."""
    prefill = shape.prefill_bytes(min(PREFILL_STEPS[-1], prompt_tokens), prompt_tokens)
    return max((ceiling - prefill) // max(shape.kv_bytes_per_token, 1) - prompt_tokens, 0)


def _refusal(prompt_tokens: int, max_tokens: int, shape: NetworkShape, ceiling: int, model: str) -> str:
    kv_bytes = (prompt_tokens + max_tokens) * shape.kv_bytes_per_token
    prefill = shape.prefill_bytes(min(PREFILL_STEPS[-1], prompt_tokens), prompt_tokens)
    fitting = _largest_answer(prompt_tokens, shape, ceiling)
    advice = (
        f"Lower max_tokens to {fitting:,}, or shorten the prompt."
        if fitting >= LEAST_ANSWER
        else "Shorten the prompt, close other programs, or choose a smaller model."
    )
    needs = (
        f"The prompt of {prompt_tokens:,} tokens with max_tokens {max_tokens:,} needs {human_bytes(kv_bytes)} of KV "
        f"cache and {human_bytes(prefill)} to be read"
    )
    return f"{needs}; beside {model}, {human_bytes(max(ceiling, 0))} can be had. {advice}"
