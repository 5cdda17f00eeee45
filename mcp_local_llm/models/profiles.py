"""Profiles: named bundles of a model and how it is asked. Pure.

A profile is a value from the settings; here is what its name means and what it does to a request. Which model its
query means is decided where every name is.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mcp_local_llm.models.resolve import Resolution
from mcp_local_llm.values.chat import (
    ChatRequest,
    MaxThinkingTokens,
    MaxTokens,
    Message,
    MinP,
    OccurrencePenalty,
    RepetitionPenalty,
    SamplingParams,
    Temperature,
    TopK,
    TopP,
)
from mcp_local_llm.values.endpoint import EndpointName
from mcp_local_llm.values.model import ModelInfo, Serving

ProfileName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]*$", max_length=64)]
"""Begins with a letter, because a number means a place in the list."""


class Profile(BaseModel):
    """One bundle. What a call says itself always wins.

    Attributes:
        model: what set_model takes (a role, an id, a fragment); with `endpoint`, what that server calls it.
        endpoint: the name of a configured endpoint.
        context: tokens of context for each call, 512 to 1048576; unset, the setting reserve_context.
        slots: calls that llama-server answers side by side, 1 to 64; unset, the setting llama_slots.
        system: the system prompt of calls that bring none.
        thinking, max_thinking_tokens, max_tokens, temperature and so on: as in a call.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Annotated[str, Field(min_length=1)] | None = None
    endpoint: EndpointName | None = None
    context: Annotated[int, Field(ge=512, le=1_048_576)] | None = None
    slots: Annotated[int, Field(ge=1, le=64)] | None = None
    system: str | None = None
    thinking: bool | None = None
    max_thinking_tokens: MaxThinkingTokens | None = None
    max_tokens: MaxTokens | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: TopK | None = None
    min_p: MinP | None = None
    repetition_penalty: RepetitionPenalty | None = None
    frequency_penalty: OccurrencePenalty | None = None
    presence_penalty: OccurrencePenalty | None = None

    @model_validator(mode="after")
    def _names_a_model(self) -> "Profile":
        if self.model is None and self.endpoint is None:
            raise ValueError("a profile names a model or an endpoint")
        return self

    @property
    def query(self) -> str:
        """Return what names its model."""
        return "/".join(part for part in (self.endpoint, self.model) if part)

    @property
    def sampling(self) -> SamplingParams:
        """How tokens are drawn where a call says nothing."""
        return SamplingParams(
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            frequency_penalty=self.frequency_penalty,
            presence_penalty=self.presence_penalty,
        )

    def summary(self) -> str:
        """Say in a few words what it sets beside the model; empty where it sets nothing."""
        said = self.model_dump(exclude_none=True, exclude={"model", "endpoint", "system"})
        words = [f"{name} {str(value).lower() if isinstance(value, bool) else value}" for name, value in said.items()]
        return ", ".join([*words, *(["a system prompt"] if self.system else [])])


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
