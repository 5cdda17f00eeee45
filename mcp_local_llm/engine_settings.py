"""Settings → what engines are told: the one place where each setting of an engine gets its name and unit there.

A new setting of the MLX engine needs its field in `settings.py`, and its line in `mlx_limits`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from mcp_local_llm.engines.mlx import EngineLimits, PrefixDiskLimits
from mcp_local_llm.engines.servers import ServerSettings
from mcp_local_llm.models.fit import Memory
from mcp_local_llm.setup.settings import Settings

MIB = 2**20


def mlx_limits(settings: Settings, *, prefixes: Path, memory: Callable[[], Memory]) -> EngineLimits:
    """Return what the MLX engine is told.

    Args:
        settings: those of the process that holds the model.
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
        wired=settings.wired_memory,
        memory=None if settings.force else memory,
    )


def server_settings(settings: Settings, *, environ: Mapping[str, str], folder: Path, python: str) -> ServerSettings:
    """Return what servers that are started for a model are told.

    Args:
        settings: those of the process that holds the model.
        environ: the environment that they inherit.
        folder: where the hostfiles of clusters are written.
        python: the interpreter that machines of a cluster use, unless theirs is named.
    """
    return ServerSettings(
        context=settings.reserve_context,
        slots=settings.llama_slots,
        environ=environ,
        folder=folder,
        python=python,
    )
