"""Prefill of one prompt: computes its KV cache a chunk at a time, with checkpoints.

Prompts are read one at a time, each with a cache of its own: several at once would be padded to the longest, and a
single one needs no mask, which the attention kernels are faster without. Runs on the MLX thread only.
"""

import mlx.core as mx
from mlx_lm.generate import generation_stream
from mlx_lm.models.cache import make_prompt_cache

from mcp_local_llm.engines.mlx.load.kv_cache import Layers, held_bytes, snapshot
from mcp_local_llm.engines.mlx.load.weights import LoadedModel
from mcp_local_llm.engines.mlx.prompt.checkpoints import Checkpoint

PREFILL_SHARED = 256
"""Tokens of a prompt computed at once while streamed requests are decoded; the plan's step (2048) while none is.

The other requests wait for a chunk. 512 would make them wait a little more than a quarter of 2048, because the last
chunk of a long prompt attends to all of it; smaller than 256, the weights are read too often for too few tokens.
"""

PREFILL_UNWATCHED = 1024
"""The same where no request is streamed: nobody sees its tokens come, and short prompts, such as those of one file of
many, join the batch sooner and are not cut in two."""


class Prefill:
    """Computes all tokens of a prompt but the last; the first token of the answer comes out of that one."""

    def __init__(
        self,
        model: LoadedModel,
        uid: int,
        tokens: list[int],
        layers: Layers | None,
        done: int,
        checkpoints: tuple[Checkpoint, ...],
    ) -> None:
        self.uid = uid
        self._network, self._kv = model.network, model.kv
        self._tokens = tokens
        self._checkpoints = [checkpoint for checkpoint in checkpoints if done < checkpoint.end < len(tokens)]
        self._layers: Layers = make_prompt_cache(model.network) if layers is None else layers
        self._done = done

    @property
    def total(self) -> int:
        """Tokens of the prompt."""
        return len(self._tokens)

    @property
    def done(self) -> int:
        """Tokens that are in the cache."""
        return self._done

    @property
    def finished(self) -> bool:
        """Whether only the last token is left."""
        return self._done == len(self._tokens) - 1

    @property
    def last_token(self) -> int:
        """The token that the answer starts from."""
        return self._tokens[-1]

    @property
    def layers(self) -> Layers:
        """The KV cache of `tokens`."""
        return self._layers

    @property
    def tokens(self) -> list[int]:
        """The tokens that the cache holds."""
        return self._tokens[: self._done]

    @property
    def nbytes(self) -> int:
        """Bytes of the cache."""
        return held_bytes(self._layers)

    def advance(self, step: int) -> int:
        """Compute at most `step` tokens, up to the next checkpoint; return their number."""
        ends = [checkpoint.end for checkpoint in self._checkpoints if checkpoint.end > self._done]
        end = min([self._done + step, len(self._tokens) - 1, *ends])
        count = end - self._done
        if count:
            with mx.stream(generation_stream):
                self._network(mx.array(self._tokens[self._done : end])[None], cache=self._layers)
                self._quantize()
                mx.eval([layer.state for layer in self._layers])
            # Each chunk's working buffers have other sizes; kept, they would only pile up.
            mx.clear_cache()
        else:
            self._quantize()
        self._done = end
        return count

    def _quantize(self) -> None:
        """Quantize the first chunk's keys and values, as mlx-lm does; later ones are quantized as they are written."""
        if self._kv is not None:
            self._kv.apply(self._layers)

    def checkpoint(self) -> tuple[Checkpoint, Layers] | None:
        """Return a copy of the cache where a checkpoint was just reached; it shares arrays until one is written."""
        for checkpoint in self._checkpoints:
            if checkpoint.end == self._done:
                return checkpoint, snapshot(self._layers)
        return None
