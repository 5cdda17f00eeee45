"""Settings as the engines are told them: every name and unit in one place."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from mcp_local_llm.engines.mlx import EngineLimits, PrefixDiskLimits
from mcp_local_llm.engines.mlx.limits import mlx_limits
from mcp_local_llm.setup.settings import Settings
from mcp_local_llm.values.machine import Memory

PREFIXES = Path("/prefixes")


def memory() -> Memory:
    return Memory(total=8 * 10**9, available=4 * 10**9)


def limits(**values: Any) -> EngineLimits:
    return mlx_limits(Settings.model_validate(values), prefixes=PREFIXES, memory=memory)


def test_the_defaults_of_settings_and_engine_are_the_same() -> None:
    assert limits() == EngineLimits(memory=memory)


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ({"batch_size": 2}, "batch_size", 2),
        ({"queue_size": 0}, "queue_size", 0),
        ({"prefix_cache_mb": 0}, "prefix_cache_bytes", 0),
        ({"prefix_cache_mb": 3}, "prefix_cache_bytes", 3 * 2**20),
        ({"prefix_disk_mb": 5}, "prefix_disk", PrefixDiskLimits(PREFIXES, 5 * 2**20)),
        ({"max_generation_tokens": 7}, "max_generation_tokens", 7),
        ({"kv_bits": 8}, "kv_bits", 8),
        ({"wired_memory": "off"}, "wired", "off"),
        ({"force": True}, "memory", None),
    ],
)
def test_each_setting_reaches_its_field_and_no_other(setting: dict[str, Any], field: str, value: object) -> None:
    assert limits(**setting) == dataclasses.replace(limits(), **{field: value})
