"""The bounds of the MLX engine, filled from the settings. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mcp_local_llm.setup.settings import Settings
from mcp_local_llm.values.machine import Memory

MIB = 2**20
QUEUES = 4
"""Queues of `queue_size` that all clients together may fill."""

WiredPolicy = Literal["auto", "off"]

KVBits = Literal[4, 8]


@dataclass(frozen=True)
class PrefixDiskLimits:
    """The folder and size of the prefixes that are kept on the disk.

    Attributes:
        folder: holds nothing else; created with the first file.
        nbytes: bytes of the files of all models together.
        quiet_s: seconds without a command before a file is written, so that consecutive calls are not delayed. An agent
            reads an answer for longer.
    """

    folder: Path
    nbytes: int
    quiet_s: float = 2.0


@dataclass(frozen=True)
class EngineLimits:
    """Bounds of one MLX engine.

    Attributes:
        batch_size: requests decoded together.
        queue_size: requests that may wait beside those.
        prefix_cache_bytes: KV kept for reuse, running requests included; None takes a share of what is free.
        prefix_disk: a second place for long prefixes, which outlives the process; None: prompts stay in memory.
        max_generation_tokens: the longest answer that one request may ask for.
        kv_bits: keep keys and values in so many bits; None leaves them at 16.
        wired: `auto` pins the weights in the GPU's memory, `off` nothing.
        step_timeout_s: seconds after which a step of the model counts as hanging; the first after a load gets
            `load_timeout_s`.
        load_timeout_s: seconds that a load may take without progress.
        long_input_penalty: repetition penalty of greedy answers to long prompts that name none; 1 is off.
        refuse_tools: refuse tools for a chat template that writes none, instead of writing them into the system turn.
        memory: reads this machine's memory; must be quick, it is called before every prompt. None: no check.
    """

    batch_size: int = 4
    queue_size: int = 16
    prefix_cache_bytes: int | None = None
    prefix_disk: PrefixDiskLimits | None = None
    max_generation_tokens: int = 32_768
    kv_bits: KVBits | None = None
    wired: WiredPolicy = "auto"
    memory: Callable[[], Memory] | None = None
    step_timeout_s: float = 300.0
    load_timeout_s: float = 1800.0
    long_input_penalty: float = 1.05
    refuse_tools: bool = False

    @property
    def places(self) -> int:
        """The number of requests that run at a time: quantized keys and values cannot be decoded together."""
        return self.batch_size if self.kv_bits is None else 1

    @property
    def queue_total(self) -> int:
        """How many requests may wait, whatever clients they are from: each new client is let in beyond `queue_size`."""
        return QUEUES * max(self.queue_size, 1)


def mlx_limits(settings: Settings, *, prefixes: Path, memory: Callable[[], Memory]) -> EngineLimits:
    """Return the bounds of the MLX engine.

    Args:
        settings: the settings of the lease owner.
        prefixes: the folder for prompts that are kept on the disk.
        memory: reads the memory of this machine.
    """
    on_disk = settings.prefix_disk_mb * MIB
    return EngineLimits(
        batch_size=settings.batch_size,
        queue_size=settings.queue_size,
        prefix_cache_bytes=None if settings.prefix_cache_mb is None else settings.prefix_cache_mb * MIB,
        prefix_disk=PrefixDiskLimits(prefixes, on_disk) if on_disk else None,
        max_generation_tokens=settings.max_generation_tokens,
        kv_bits=settings.kv_bits,
        step_timeout_s=settings.step_timeout_s,
        load_timeout_s=settings.load_timeout_s,
        long_input_penalty=settings.long_input_penalty,
        refuse_tools=settings.tools_without_template == "refuse",
        wired=settings.wired_memory,
        memory=None if settings.force else memory,
    )
