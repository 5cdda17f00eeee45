"""Makes the sampler of a request, with the model's own defaults and, given a seed, random numbers of its own."""

import math
from collections.abc import Callable

import mlx.core as mx
from mlx_lm.sample_utils import apply_min_p, apply_top_k, apply_top_p, make_sampler

from mcp_local_llm.engines.mlx.load.generation_config import is_greedy
from mcp_local_llm.engines.mlx.load.weights import LoadedModel
from mcp_local_llm.values.chat import SamplingParams

Sampler = Callable[[mx.array], mx.array]
"""Takes log-probabilities of shape (batch, vocabulary), returns token ids of shape (batch,)."""

NOT_A_NUMBER = -1
"""Drawn instead of a token where the log-probabilities are no numbers."""


def greedy(logprobs: mx.array) -> mx.array:
    """Return the likeliest tokens."""
    return mx.argmax(logprobs, axis=-1)


def checked(draw: Sampler) -> Sampler:
    """Return a sampler that draws `NOT_A_NUMBER` where a row holds NaN, or nothing but minus infinity.

    The mark travels with the token, so nothing has to wait for the check. A forward pass that was set off with it
    reads the last row of the embedding, and its result is thrown away.
    """

    def sample(logprobs: mx.array) -> mx.array:
        # False for NaN, too: no comparison with it holds. One operation, where `isfinite` takes five.
        sound = mx.max(logprobs, axis=-1) > -math.inf
        return mx.where(sound, draw(logprobs).astype(mx.int32), NOT_A_NUMBER)

    return sample


GREEDY = checked(greedy)
"""One function for all greedy requests, so that those of a batch share one call."""


def sampler_for(params: SamplingParams, model: LoadedModel) -> Sampler:
    """Return the request's sampler, with the check for logits that are not finite."""
    draw = _drawing(params, model)
    return GREEDY if draw is None else checked(draw)


def _drawing(params: SamplingParams, model: LoadedModel) -> Sampler | None:
    """Return the sampler without the check; None for greedy."""
    defaults = model.sampling
    temperature = defaults.temperature if params.temperature is None else params.temperature
    if is_greedy(params, defaults):
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
    """Return the filter of unlikely tokens, in mlx-lm's order: top_p, min_p, top_k."""

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
