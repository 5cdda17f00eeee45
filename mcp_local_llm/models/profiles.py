"""Profiles: named bundles of a model and how it is asked. Pure.

A profile is a value from the settings; here is what its name means and what it does to a request. Which model its
query means is decided where every name is.
"""

from collections.abc import Mapping
from dataclasses import replace

from mcp_local_llm.models.resolve import Resolution
from mcp_local_llm.values.chat import (
    ChatRequest,
    Message,
    SamplingParams,
)
from mcp_local_llm.values.model import ModelInfo, Serving
from mcp_local_llm.values.profile import Profile


def profile_named(query: str, profiles: Mapping[str, Profile]) -> str | None:
    """Return the name of the profile that `query` is, in any case; None where it is none."""
    text = query.strip().strip("\"'`").strip().casefold()
    return next((name for name in profiles if name.casefold() == text), None)


def with_profile(found: Resolution, name: str, profile: Profile, *, role: str | None) -> Resolution:
    """Return the model that was found for a profile, set up as it says.

    Args:
        found: what its query means.
        name: of the profile.
        profile: the bundle.
        role: the model that a role of the same name stands for; None where there is no such role.
    """
    serving = Serving(profile.context, profile.slots, name) if profile.context or profile.slots else Serving()
    model = replace(found.model, serving=serving)
    notes = [f"The profile {name!r} stands for {model.id}."]
    if role is not None:
        notes.append(f"It hides the role of that name, which stands for {role}.")
    notes += [found.note] if found.note else []
    notes += _without_effect(model, profile)
    return replace(found, model=model, note=" ".join(notes), profile=name)


def applied(request: ChatRequest, profile: Profile) -> ChatRequest:
    """Return `request` with the profile's values where it says nothing itself."""
    messages = request.messages
    if profile.system and messages and not any(message.role == "system" for message in messages):
        messages = (Message(role="system", content=profile.system), *messages)
    budget, thinking = request.max_thinking_tokens, request.thinking
    return replace(
        request,
        messages=messages,
        sampling=request.sampling.over(profile.sampling),
        thinking=profile.thinking if thinking is None else thinking,
        # A budget makes no sense for a call that switches reasoning off itself.
        max_thinking_tokens=profile.max_thinking_tokens if budget is None and thinking is not False else budget,
    )


def filled(
    request: ChatRequest, found: Resolution, profiles: Mapping[str, Profile], settings: SamplingParams
) -> ChatRequest:
    """Fill in what the profile says that was named, then what the settings say; a server elsewhere has its own."""
    if found.profile:
        request = applied(request, profiles[found.profile])
    if found.model.endpoint is not None:
        return request
    # Only our own engine ends an answer that repeats itself; a server that we start would refuse the field.
    own = replace(settings, repetition_limit=None) if found.model.started else settings
    return replace(request, sampling=request.sampling.over(own))


def _without_effect(model: ModelInfo, profile: Profile) -> list[str]:
    """Say which values of a profile cannot act on its model."""
    if model.endpoint is not None:
        named = [name for name in ("context", "slots") if getattr(profile, name) is not None]
        whose = f"{model.endpoint.name} decides that by itself"
    else:
        named = ["slots"] if profile.slots is not None and model.format != "gguf" else []
        whose = "only llama-server has slots; the setting batch_size says how many calls MLX decodes together"
    return [f"Its {' and '.join(named)} {'has' if len(named) == 1 else 'have'} no effect: {whose}."] if named else []
