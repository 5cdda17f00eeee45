"""Reads a model's own sampling values from its `generation_config.json`; otherwise pure."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from mcp_local_llm.values.chat import SamplingParams

GREEDY_BELOW = 1e-4
"""A temperature below this draws the likeliest token anyway; dividing by it could overflow."""

# The range within which each value means something; a file may hold anything.
_RANGES = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "top_k": (0.0, math.inf),
    "min_p": (0.0, 1.0),
    "repetition_penalty": (0.5, 2.0),
}


@dataclass(frozen=True)
class SamplingDefaults:
    """The sampling values that apply where neither request nor settings name one; the defaults are off.

    Attributes:
        temperature: 0 is greedy.
        top_p, top_k, min_p: limits on the tokens drawn from; 1, 0 and 0 are off.
        repetition_penalty: factor on the logits of tokens already in the answer; 1 is off.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0


def read_sampling_defaults(folder: Path) -> SamplingDefaults:
    """Read a model's `generation_config.json`; a value that is missing, no number or out of range is off."""
    try:
        read = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return SamplingDefaults()
    config = cast(dict[str, Any], read) if isinstance(read, dict) else {}
    sampled = config.get("do_sample") is not False
    return SamplingDefaults(
        temperature=_number(config, "temperature", 0.0) if sampled else 0.0,
        top_p=_number(config, "top_p", 1.0) or 1.0,
        top_k=int(_number(config, "top_k", 0.0)),
        min_p=_number(config, "min_p", 0.0),
        repetition_penalty=_number(config, "repetition_penalty", 1.0),
    )


def is_greedy(params: SamplingParams, defaults: SamplingDefaults) -> bool:
    """Whether the likeliest token is drawn each time."""
    temperature = defaults.temperature if params.temperature is None else params.temperature
    return temperature < GREEDY_BELOW


def _number(config: dict[str, Any], key: str, off: float) -> float:
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return off
    low, high = _RANGES[key]
    return float(value) if low <= value <= high else off
