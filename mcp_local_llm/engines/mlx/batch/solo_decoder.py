"""Decodes one request alone: the same arithmetic as mlx-lm's `generate_step`, a step at a time.

A batch of one costs 7 % of the speed of a small model (a mask and offsets of arrays for padding that is not there), so
a single request is decoded without the batch. Runs on the MLX thread only.
"""

import math
from dataclasses import replace
from typing import Any, NamedTuple, cast

import mlx.core as mx
from mlx_lm.generate import generation_stream
from mlx_lm.models.cache import TokenBuffer

from mcp_local_llm.engines.mlx.batch.request import DecodingSequence, DrawnToken
from mcp_local_llm.engines.mlx.load.kv_cache import held_bytes
from mcp_local_llm.engines.mlx.steer.sampling import NOT_A_NUMBER

CLEAR_EVERY = 256
"""Tokens between two cleanings of MLX's buffer pool; a growing cache leaves buffers behind that nothing fits into."""


class Drawn(NamedTuple):
    """A token that the device draws: its id, and the logarithm of what the logits sum up to, shapes (1,) and (1, 1)."""

    token: mx.array
    logsum: mx.array


class SoloDecoder:
    """Computes one token ahead: while the caller handles a token, the device draws the next."""

    def __init__(self, network: Any, sequence: DecodingSequence) -> None:
        self.sequence = sequence
        self._network = network
        self._tokens = list(sequence.tokens)
        self._context: Any = TokenBuffer(sequence.tokens) if sequence.processors else None
        self._matcher: Any = sequence.stops.matcher()
        self._drawn = 0
        with mx.stream(generation_stream):
            self._ahead = self._step(mx.array([sequence.next_token]))
        self._tokens.append(sequence.next_token)

    @property
    def nbytes(self) -> int:
        """Bytes of the KV cache."""
        return held_bytes(self.sequence.layers)

    @property
    def tokens(self) -> list[int]:
        """The tokens that the cache holds."""
        return self._tokens

    def next(self) -> DrawnToken:
        """Return the token that was drawn, and start to compute the next one."""
        current = self._ahead
        last = self._drawn + 1 >= self.sequence.max_tokens
        if not last:
            with mx.stream(generation_stream):
                self._ahead = self._step(current.token)
        drawn = self._deliver(_number(current), last=last)
        if not last:
            self._tokens.append(drawn.token)
        if self._drawn % CLEAR_EVERY == 0:
            mx.clear_cache()
        return drawn

    def settle(self) -> tuple[DrawnToken, DecodingSequence | None]:
        """Return the token that was drawn, and the sequence to continue in a batch; None after the last token."""
        drawn = self._deliver(_number(self._ahead), last=self._drawn + 1 >= self.sequence.max_tokens)
        if drawn.finish_reason is not None:
            return drawn, None
        left = self.sequence.max_tokens - self._drawn
        return drawn, replace(self.sequence, tokens=self._tokens, next_token=drawn.token, max_tokens=left)

    def _deliver(self, token: int, *, last: bool) -> DrawnToken:
        self._drawn += 1
        reason = "length" if last else None
        if self._matcher.advance(token):
            reason = "stop"
        kept = None if reason is None else (self._tokens, self.sequence.layers)
        return DrawnToken(self.sequence.uid, token, reason, kept)

    def _step(self, token: mx.array) -> Drawn:
        """Start to compute the token after `token`, an array of shape (1,)."""
        logits = self._network(token[None], cache=self.sequence.layers)[:, -1, :]
        if self._context is not None:
            context = self._context.update_and_fetch(token)
            for processor in self.sequence.processors:
                logits = processor(context, logits)
        # Normalized even for greedy: rounding may create ties, and a batch must break them in the same way.
        logsum = mx.logsumexp(logits, axis=-1, keepdims=True)
        ahead = Drawn(self.sequence.sampler(logits - logsum), logsum)
        mx.async_eval(*ahead)
        return ahead


def _number(drawn: Drawn) -> int:
    """Wait for a token and return its id, or `NOT_A_NUMBER`: one NaN or infinity among the logits is in their sum."""
    return cast(int, drawn.token.item()) if math.isfinite(cast(float, drawn.logsum.item())) else NOT_A_NUMBER
