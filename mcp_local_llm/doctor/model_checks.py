"""The models that are here, the choice among them, and the registry. Pure."""

from collections.abc import Iterator
from pathlib import Path

from mcp_local_llm.doctor.facts import Facts, Finding
from mcp_local_llm.models.fit import lasting_ceiling, published_rule
from mcp_local_llm.models.known import DECISIONS, GuideEntry, guide_entry
from mcp_local_llm.models.roles import absent_models
from mcp_local_llm.models.speed import estimate_speed
from mcp_local_llm.values.endpoint import Sighting, loopback_port, offered
from mcp_local_llm.values.model import ModelInfo, human_bytes

MAX_NAMED = 8
"""Models that a line names; `mcp-local-llm models` lists all."""


def models(facts: Facts) -> Iterator[Finding]:
    """Tell the sound models, then each broken one and why."""
    found = facts.surveyed.models
    real = runnable(facts)
    served = sum(len(reached.models) for reached in facts.reached)
    if real:
        names = [f"{model.id} ({human_bytes(model.weight_bytes)})" for model in real[:MAX_NAMED]]
        more = f" and {len(real) - MAX_NAMED} more" if len(real) > MAX_NAMED else ""
        yield Finding("models", "ok", f"{', '.join(names)}{more}")
    elif served or any(reached.endpoint.models for reached in facts.reached):
        yield Finding("models", "ok", "none on this machine; endpoints serve some")
    elif not any(model.format == "gguf" and model.usable for model in found):
        text = "there is no model here but the built-in test model, which knows a few scripted answers"
        advice = "Download one, for example with `mcp-local-llm pull mlx-community/Qwen3-4B-4bit`."
        yield Finding("models", "problem", text, advice)
    for model in found:
        if not model.usable:
            yield Finding("models", "note", f"{model.id} cannot be chosen: {'; '.join(model.problems)}", _mend(model))


def runnable(facts: Facts) -> list[ModelInfo]:
    """Return the sound models that something here can run."""
    usable = [model for model in facts.surveyed.models if model.usable and not model.diagnostic]
    return [model for model in usable if model.format != "gguf" or facts.surveyed.llama_server is not None]


def choice(facts: Facts) -> Iterator[Finding]:
    """Tell what a chat would use now, and whether it can."""
    chosen = facts.choice
    saved = f"saved: {chosen.saved}; " if chosen.saved else "none saved; "
    if chosen.error:
        first, _, rest = chosen.error.partition("\n")
        advice = "Choose with `mcp-local-llm use NAME`" + (f":\n{rest}" if rest else ".")
        yield Finding("choice", "problem", saved + first, advice)
        return
    if chosen.model is None:
        return
    # That there is nothing but the built-in model is told above.
    note = f" {chosen.note}" if chosen.note and not chosen.model.diagnostic else ""
    plan = facts.plan(chosen.model)
    if plan.fits or facts.tenancy.pid is not None:
        yield Finding("choice", "ok", f"{saved}a chat uses {chosen.model.id}.{note}")
    elif plan.forced:
        yield Finding("choice", "note", f"{saved}{plan.words()} It is loaded all the same, because force is set.")
    else:
        advice = "Choose a smaller model with `mcp-local-llm use NAME`, or lower reserve_context."
        yield Finding("choice", "problem", saved + plan.words(), advice)


def registry(facts: Facts) -> Iterator[Finding]:
    """Tell the roles, those without a model here, endpoints that others know, and what is wrong with the file."""
    read = facts.surveyed.registry
    for warning in read.warnings:
        yield Finding("registry", "problem", warning, "Mend the file; the tools that share it read it, too.")
    roles = {role: model for role, model in read.roles.items() if model}
    if not read.warnings:
        text = ", ".join(f"{role} = {model}" for role, model in roles.items()) or "no roles are set, which is fine"
        yield Finding("registry", "ok", text)
    served = [reached.endpoint.model_id(name) for reached in facts.reached for name in reached.models]
    for sentence in absent_models(roles, [*(model.id for model in facts.surveyed.models), *served]):
        yield Finding("registry", "note", sentence, "Download it with `mcp-local-llm pull`, or leave the role.")
    others = {name: url for name, url in read.endpoints.items() if not _seen(url, facts.sightings)}
    for sentence in offered(others, facts.setup.settings.endpoints):
        yield Finding("registry", "note", sentence)


def _seen(url: str, sightings: tuple[Sighting, ...]) -> bool:
    """Whether it is one of the servers of which another finding tells."""
    return loopback_port(url) in {sighting.port for sighting in sightings}


def _mend(model: ModelInfo) -> str:
    if model.source == "huggingface" and model.format == "mlx" and "/" in model.id:
        return f"If the download is not finished, `mcp-local-llm pull {model.id}` continues it."
    return ""


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
