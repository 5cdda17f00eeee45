"""Makes the sampler of a request, with the model's own defaults and, given a seed, random numbers of its own."""

import math
from collections.abc import Callable
from typing import Any, cast

import mlx.core as mx
from mlx_lm.sample_utils import apply_min_p, apply_top_k, apply_top_p, make_sampler

from mcp_local_llm.engines.mlx.load.generation_config import is_greedy
from mcp_local_llm.engines.mlx.load.weights import LoadedModel
from mcp_local_llm.values.chat import SamplingParams

Sampler = Callable[[mx.array], mx.array]
"""Takes log-probabilities of shape (batch, vocabulary), returns token ids of shape (batch,)."""

NOT_A_NUMBER = -1
"""Stands for a token that was drawn where the log-probabilities are no numbers."""


def greedy(logprobs: mx.array) -> mx.array:
    """Return the likeliest tokens."""
    return mx.argmax(logprobs, axis=-1)


def checked(token: int, logprobs: mx.array) -> int:
    """Return the token that was drawn, or `NOT_A_NUMBER` where the network computed no numbers.

    One value tells: after normalization a NaN or an infinity anywhere makes all of them NaN or minus infinity, and
    nothing that can be drawn has a probability of 0.

    Args:
        token: Its id.
        logprobs: The values that it was drawn from, shape (vocabulary,), evaluated.
    """
    if logprobs.dtype == mx.float32:
        value = memoryview(cast(Any, logprobs))[token]  # A read, where an operation of MLX takes 27 us.
    else:
        with mx.stream(mx.cpu):  # A GPU is at work on the next token.
            value = cast(float, logprobs[token].item())
    return token if value > -math.inf else NOT_A_NUMBER


def sampler_for(params: SamplingParams, model: LoadedModel) -> Sampler:
    """Return the request's sampler; one function for all greedy requests, so that those of a batch share one call."""
    defaults = model.sampling
    temperature = defaults.temperature if params.temperature is None else params.temperature
    if is_greedy(params, defaults):
        return greedy
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
