"""What the user allows the engine. Pure values; the composition root fills them from the settings."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mcp_local_llm.budget import Memory

WiredPolicy = Literal["auto", "off"]


@dataclass(frozen=True)
class EngineLimits:
    """Bounds of one MLX engine.

    Attributes:
        batch_size: requests decoded together.
        queue_size: requests that may wait beside those.
        prefix_cache_bytes: KV kept for reuse, running requests included; None takes a share of what is free.
        max_generation_tokens: the longest answer that one request may ask for.
        wired: `auto` pins the weights in the GPU's memory, `off` nothing.
        memory: reads this machine's memory; must be quick, it is asked before every prompt. None: no check.
    """

    batch_size: int = 4
    queue_size: int = 16
    prefix_cache_bytes: int | None = None
    max_generation_tokens: int = 32_768
    wired: WiredPolicy = "auto"
    memory: Callable[[], Memory] | None = None
