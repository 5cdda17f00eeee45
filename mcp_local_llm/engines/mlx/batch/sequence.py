"""What decoding needs of one request, whichever way it is decoded. Runs on the MLX thread only."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from mcp_local_llm.engines.mlx.prefix.cache import Layers
from mcp_local_llm.engines.mlx.steer.sampling import Sampler

Processor = Callable[[mx.array, mx.array], mx.array]
"""Takes the tokens so far and logits of shape (1, vocabulary), returns logits; called once for each token drawn."""


@dataclass(frozen=True)
class Sequence:
    """One request that is ready to be decoded.

    Attributes:
        tokens: what `layers` hold.
        next_token: drawn, or the last of the prompt; not in `layers` yet.
        stops: mlx-lm's `StopSequences`.
    """

    uid: int
    tokens: list[int]
    layers: Layers
    next_token: int
    max_tokens: int
    sampler: Sampler
    processors: tuple[Processor, ...]
    stops: Any


@dataclass(frozen=True)
class Drawn:
    """The next token of a request; `kept` holds tokens and cache when `finish_reason` (`stop`, `length`) ends it.

    The token is `NOT_A_NUMBER` where the network computed no numbers.
    """

    uid: int
    token: int
    finish_reason: str | None = None
    kept: tuple[list[int], Layers] | None = None
