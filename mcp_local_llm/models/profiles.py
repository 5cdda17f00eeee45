"""Resolves the names of profiles, and applies profiles and settings to requests. Pure functions."""

from collections.abc import Mapping
from dataclasses import replace

from mcp_local_llm.models.resolve import Resolution
from mcp_local_llm.values.chat import ChatRequest, Message, SamplingParams
from mcp_local_llm.values.model import ModelInfo, Serving
from mcp_local_llm.values.profile import Profile


def profile_named(query: str, profiles: Mapping[str, Profile]) -> str | None:
    """Return the name of the profile that `query` names, ignoring case; None for no profile."""
    text = query.strip().strip("\"'`").strip().casefold()
    return next((name for name in profiles if name.casefold() == text), None)


def with_profile(found: Resolution, name: str, profile: Profile, *, role: str | None) -> Resolution:
    """Return the model of a profile, with the profile's server options.

    Args:
        found: the model that the profile's query means.
        name: of the profile.
        profile: the values of the profile.
        role: the model of a role with the same name; None for no such role.
    """
    serving = Serving(profile.context, profile.slots, name) if profile.context or profile.slots else Serving()
    model = replace(found.model, serving=serving)
    notes = [f"The profile {name!r} stands for {model.id}."]
    if role is not None:
        notes.append(f"It hides the role of that name, which stands for {role}.")
    notes += [found.note] if found.note else []
    notes += _without_effect(model, profile)
    return replace(found, model=model, note=" ".join(notes), profile=name)


def apply_profile(request: ChatRequest, profile: Profile) -> ChatRequest:
    """Return `request` with the profile's values for the fields that are unset."""
    messages = request.messages
    if profile.system and messages and not any(message.role == "system" for message in messages):
        messages = (Message(role="system", content=profile.system), *messages)
    budget, thinking = request.max_thinking_tokens, request.thinking
    return replace(
        request,
        messages=messages,
        sampling=request.sampling.over(profile.sampling),
        thinking=profile.thinking if thinking is None else thinking,
        # A request that switches reasoning off gets no budget for it.
        max_thinking_tokens=profile.max_thinking_tokens if budget is None and thinking is not False else budget,
    )


def complete_request(
    request: ChatRequest, found: Resolution, profiles: Mapping[str, Profile], settings: SamplingParams
) -> ChatRequest:
    """Set the unset fields of a request from its profile, then, except for an endpoint, from the settings."""
    if found.profile:
        request = apply_profile(request, profiles[found.profile])
    if found.model.endpoint is not None:
        return request
    # Only the MLX engine supports repetition_limit; a started server would refuse the field.
    own = replace(settings, repetition_limit=None) if found.model.started else settings
    return replace(request, sampling=request.sampling.over(own))


def _without_effect(model: ModelInfo, profile: Profile) -> list[str]:
    """Return a sentence on the values of a profile that have no effect on its model."""
    if model.endpoint is not None:
        named = [name for name in ("context", "slots") if getattr(profile, name) is not None]
        reason = f"{model.endpoint.name} decides that by itself"
    else:
        named = ["slots"] if profile.slots is not None and model.format != "gguf" else []
        reason = "only llama-server has slots; the setting batch_size says how many calls MLX decodes together"
    return [f"Its {' and '.join(named)} {'has' if len(named) == 1 else 'have'} no effect: {reason}."] if named else []
