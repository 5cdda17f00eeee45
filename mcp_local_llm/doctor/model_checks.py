"""Checks of the models on this machine, the choice among them, and the registry. Pure functions."""

from collections.abc import Iterator
from pathlib import Path

from mcp_local_llm.doctor.facts import Facts, Finding
from mcp_local_llm.models.fit import lasting_ceiling, published_rule
from mcp_local_llm.models.known import RECOMMENDATIONS, KnownModel, known_model
from mcp_local_llm.models.roles import absent_models
from mcp_local_llm.models.speed import estimate_speed
from mcp_local_llm.values.endpoint import DetectedServer, loopback_port, unconfigured_endpoints
from mcp_local_llm.values.model import ModelInfo, human_bytes

MAX_NAMED = 8
"""The most models that a line names; `mcp-local-llm models` lists all."""


def models(facts: Facts) -> Iterator[Finding]:
    """Report the sound models, then each broken one with its problems."""
    found = facts.installation.models
    real = runnable(facts)
    served = sum(len(endpoint.models) for endpoint in facts.endpoints)
    if real:
        names = [f"{model.id} ({human_bytes(model.weight_bytes)})" for model in real[:MAX_NAMED]]
        more = f" and {len(real) - MAX_NAMED} more" if len(real) > MAX_NAMED else ""
        yield Finding("models", "ok", f"{', '.join(names)}{more}")
    elif served or any(entry.endpoint.models for entry in facts.endpoints):
        yield Finding("models", "ok", "none on this machine; endpoints serve some")
    elif not any(model.format == "gguf" and model.usable for model in found):
        text = "there is no model here but the built-in test model, which knows a few scripted answers"
        advice = "Download one, for example with `mcp-local-llm pull mlx-community/Qwen3-4B-4bit`."
        yield Finding("models", "problem", text, advice)
    for model in found:
        if not model.usable:
            yield Finding("models", "note", f"{model.id} cannot be chosen: {'; '.join(model.problems)}", _mend(model))


def runnable(facts: Facts) -> list[ModelInfo]:
    """Return the models for chats that an installed engine can run."""
    usable = [model for model in facts.installation.models if model.chats and not model.diagnostic]
    return [model for model in usable if model.format != "gguf" or facts.installation.llama_server is not None]


def choice(facts: Facts) -> Iterator[Finding]:
    """Report the model that a chat would use now, and whether it fits."""
    chosen = facts.choice
    saved = f"saved: {chosen.saved}; " if chosen.saved else "none saved; "
    if chosen.error:
        first, _, rest = chosen.error.partition("\n")
        advice = "Choose with `mcp-local-llm use NAME`" + (f":\n{rest}" if rest else ".")
        yield Finding("choice", "problem", saved + first, advice)
        return
    if chosen.model is None:
        return
    # That only the built-in model is here is a finding of `models`.
    note = f" {chosen.note}" if chosen.note and not chosen.model.diagnostic else ""
    if not chosen.model.converses:
        text = f"{saved}{chosen.model.id} has no chat template, so it cannot chat"
        yield Finding("choice", "problem", text, "Choose an instruct model with `mcp-local-llm use NAME`.")
        return
    plan = facts.plan(chosen.model)
    if plan.fits or facts.lease.pid is not None:
        yield Finding("choice", "ok", f"{saved}a chat uses {chosen.model.id}.{note}")
    elif plan.forced:
        yield Finding("choice", "note", f"{saved}{plan.words()} It is loaded all the same, because force is set.")
    else:
        advice = "Choose a smaller model with `mcp-local-llm use NAME`, or lower reserve_context."
        yield Finding("choice", "problem", saved + plan.words(), advice)


def registry(facts: Facts) -> Iterator[Finding]:
    """Report the roles, missing models of roles, endpoints that the settings do not name, and faults of the file."""
    read = facts.installation.registry
    for warning in read.warnings:
        yield Finding("registry", "problem", warning, "Mend the file; the tools that share it read it, too.")
    roles = {role: model for role, model in read.roles.items() if model}
    if not read.warnings:
        text = ", ".join(f"{role} = {model}" for role, model in roles.items()) or "no roles are set, which is fine"
        yield Finding("registry", "ok", text)
    served = [entry.endpoint.model_id(name) for entry in facts.endpoints for name in entry.models]
    for sentence in absent_models(roles, [*(model.id for model in facts.installation.models), *served]):
        yield Finding("registry", "note", sentence, "Download it with `mcp-local-llm pull`, or leave the role.")
    others = {name: url for name, url in read.endpoints.items() if not _detected(url, facts.servers)}
    for sentence in unconfigured_endpoints(others, facts.setup.settings.endpoints):
        yield Finding("registry", "note", sentence)


def _detected(url: str, servers: tuple[DetectedServer, ...]) -> bool:
    """Return whether another finding reports the server at this URL."""
    return loopback_port(url) in {server.port for server in servers}


def _mend(model: ModelInfo) -> str:
    if model.source == "huggingface" and model.format == "mlx" and "/" in model.id:
        return f"If the download is not finished, `mcp-local-llm pull {model.id}` continues it."
    return ""


MAX_FIGURES = 3
"""The most measured speeds that a line names."""


def recommendations(facts: Facts) -> Iterator[Finding]:
    """Recommend for each kind of work the first well-known model that fits while no other program needs memory."""
    ceiling = lasting_ceiling(facts.installation.machine.memory)
    here = {model.id.casefold() for model in facts.installation.models if model.usable}
    for recommendation in RECOMMENDATIONS:
        name = f"for {recommendation.work}"
        fitting = next((model for model in recommendation.models if _needed(model) <= ceiling), None)
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
    """Recommend llama.cpp or an endpoint on Linux without a GPU, with the speeds that were measured on this machine."""
    if facts.installation.machine.system != "Linux" or facts.installation.gpu:
        return
    rates = [
        f"{model.id} {speed}"
        for model in facts.installation.models
        if not model.diagnostic and (speed := facts.measured(model)) is not None
    ]
    figures = f" Measured here: {', '.join(rates[:MAX_FIGURES])}." if rates else ""
    text = f"MLX is not tuned for this CPU; llama.cpp is.{figures}"
    advice = "Choose a GGUF model (llama-server runs it), or put a server with a GPU into the settings as an endpoint."
    yield Finding("engine", "note", text, advice)


def _entry(name: str) -> tuple[KnownModel, int]:
    """Return the well-known model and the bits of a name such as Qwen3-4B-4bit."""
    entry = known_model(name)
    assert entry is not None, f"{name} is recommended and is not a known model"
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
    speed = estimate_speed(published, facts.installation.machine.bandwidth)
    return f", {speed}" if speed else ""
