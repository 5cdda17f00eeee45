"""Draw tokens: a sampler per request, with the model's own defaults and, on demand, random numbers of its own."""

from collections.abc import Callable

import mlx.core as mx
from mlx_lm.sample_utils import apply_min_p, apply_top_k, apply_top_p, make_sampler

from mcp_local_llm.chat import SamplingParams
from mcp_local_llm.engines.mlx.weights import LoadedModel

Sampler = Callable[[mx.array], mx.array]
"""Takes log-probabilities of shape (batch, vocabulary), returns token ids of shape (batch,)."""

GREEDY_BELOW = 1e-4
"""A temperature below this draws the likeliest token anyway; dividing by it could overflow."""


def sampler_for(params: SamplingParams, model: LoadedModel) -> Sampler | None:
    """Return the request's sampler; None for greedy, so that greedy requests of a batch share one call."""
    defaults = model.sampling
    temperature = defaults.temperature if params.temperature is None else params.temperature
    if temperature < GREEDY_BELOW:
        return None
    top_p = defaults.top_p if params.top_p is None else params.top_p
    min_p = defaults.min_p if params.min_p is None else params.min_p
    top_k = defaults.top_k if params.top_k is None else params.top_k
    # mlx-lm raises inside the running batch, for all of its requests, when top_k reaches the vocabulary. Such a value
    # keeps every token, so it is off.
    top_k = top_k if 0 < top_k < model.vocab_size else 0
    if params.seed is None:
        return make_sampler(temp=temperature, top_p=top_p if top_p < 1 else 0.0, min_p=min_p, top_k=top_k)
    return _seeded(temperature, _limits(top_p, min_p, top_k), params.seed)


def _limits(top_p: float, min_p: float, top_k: int) -> Sampler:
    """Return what keeps only the likelier tokens, in mlx-lm's order: top_p, min_p, top_k."""

    def limit(logprobs: mx.array) -> mx.array:
        if top_p < 1:
            logprobs = apply_top_p(logprobs, top_p)
        if min_p:
            logprobs = apply_min_p(logprobs, min_p)
        if top_k:
            logprobs = apply_top_k(logprobs, top_k)
        return logprobs

    return limit


def _seeded(temperature: float, limit: Sampler, seed: int) -> Sampler:
    """Draw from a key of this request alone, so that neighbours in the batch do not change its numbers."""
    key = mx.random.key(seed)

    def sample(logprobs: mx.array) -> mx.array:
        nonlocal key
        key, step = mx.random.split(key)
        return mx.random.categorical(limit(logprobs) * (1 / temperature), key=step)

    return sample
