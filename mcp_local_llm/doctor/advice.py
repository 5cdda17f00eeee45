"""Which well-known model to take for which work here, and where MLX is not the best engine. Pure.

The sizes are those of the published rule (parameters, bits, 2 GB more), the speeds estimates from memory bandwidth:
nothing of it is a measurement, and it says so.
"""

from collections.abc import Iterator
from pathlib import Path

from mcp_local_llm.doctor.facts import Facts
from mcp_local_llm.doctor.finding import Finding
from mcp_local_llm.models.fit import estimate_speed, lasting_ceiling, published_rule
from mcp_local_llm.models.known import DECISIONS, GuideEntry, guide_entry
from mcp_local_llm.values.model import ModelInfo, human_bytes

MAX_FIGURES = 3
"""Measured speeds that are named."""


def recommendation(facts: Facts) -> Iterator[Finding]:
    """Name for each kind of work the first model of the guide that fits, whatever runs at the moment."""
    ceiling = lasting_ceiling(facts.surveyed.machine.memory)
    here = {model.id.casefold() for model in facts.surveyed.models if model.usable}
    for advice in DECISIONS:
        name = f"for {advice.work}"
        fitting = next((model for model in advice.models if _needed(model) <= ceiling), None)
        if fitting is None:
            text = f"no model of the guide fits into {human_bytes(ceiling)}, by the published rule"
            yield Finding(name, "note", text, "An endpoint on another machine can do that work.")
            continue
        repository = f"mlx-community/{fitting}"
        needs = f"about {human_bytes(_needed(fitting))} of {human_bytes(ceiling)}{_speed(fitting, facts)}"
        known = repository.casefold() in here
        action = "" if known else f"`mcp-local-llm pull {repository}` fetches it."
        yield Finding(name, "ok", f"{fitting}{', which is here' if known else ''}: {needs}, estimated", action)


def linux_cpu(facts: Facts) -> Iterator[Finding]:
    """Say on Linux without a GPU what serves better, with this machine's own figures where there are some.

    The factor was measured with one call at a time, two small models at 32 bits, on an x86 processor.
    """
    if facts.surveyed.machine.system != "Linux" or facts.surveyed.gpu:
        return
    rates = [
        f"{model.id} {speed}"
        for model in facts.surveyed.models
        if not model.diagnostic and (speed := facts.measured(model)) is not None
    ]
    figures = f" Measured here: {', '.join(rates[:MAX_FIGURES])}." if rates else ""
    text = f"MLX is not tuned for this CPU; llama.cpp is.{figures}"
    advice = "Choose a GGUF model (llama-server runs it), or put a server with a GPU into the settings as an endpoint."
    yield Finding("engine", "note", text, advice)


def _entry(name: str) -> tuple[GuideEntry, int]:
    """Return the guide's entry and the bits of a name such as Qwen3-4B-4bit."""
    entry = guide_entry(name)
    assert entry is not None, f"the guide recommends {name} and does not know it"
    return entry, next(bits for bits in entry.bits if entry.repository(bits).endswith(f"/{name}"))


def _needed(name: str) -> int:
    entry, bits = _entry(name)
    return published_rule(entry.parameters, bits)


def _speed(name: str, facts: Facts) -> str:
    entry, bits = _entry(name)
    published = ModelInfo(
        name,
        Path(),
        "folder",
        weight_bytes=entry.parameters * bits // 8,
        parameters=entry.parameters,
        active_parameters=entry.active_parameters,
        active_bytes=entry.active_parameters * bits // 8,
    )
    speed = estimate_speed(published, facts.surveyed.machine.bandwidth)
    return f", {speed}" if speed else ""
