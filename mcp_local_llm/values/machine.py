"""A machine and its memory, as values; `setup.machine` reads them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Memory:
    """The memory of a machine, in bytes.

    Attributes:
        total: physical memory, or the limit of the container.
        available: memory that can be allocated without swapping, reclaimable caches included.
        gpu_limit: the most memory that the GPU may use; None for no such limit.
    """

    total: int
    available: int
    gpu_limit: int | None = None


@dataclass(frozen=True)
class Machine:
    """The facts of this machine that decide which models it can run.

    Attributes:
        system: `Darwin` or `Linux`.
        chip: the processor's name, e.g. `Apple M3 Max`; "unknown" where it cannot be read.
        cores: number of CPU cores.
        bandwidth: of the memory, in bytes per second; None where it is not published for the chip.
    """

    system: str
    chip: str
    cores: int
    memory: Memory
    bandwidth: float | None = None
