"""A machine and its memory, as values: what decisions about models are made of. Reading them is `setup.machine`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Memory:
    """The memory of a machine, in bytes.

    Attributes:
        total: physical memory, or the limit of the container.
        available: what can be had without swapping, reclaimable caches included.
        gpu_limit: the most that the GPU may hold; None where there is no such limit.
    """

    total: int
    available: int
    gpu_limit: int | None = None


@dataclass(frozen=True)
class Machine:
    """What is known of this machine.

    Attributes:
        system: `Darwin` or `Linux`.
        chip: the processor's name, e.g. `Apple M3 Max`; "unknown" where nothing tells it.
        cores: of the CPU.
        bandwidth: of the memory in bytes per second; None where it is not published for the chip.
    """

    system: str
    chip: str
    cores: int
    memory: Memory
    bandwidth: float | None = None
