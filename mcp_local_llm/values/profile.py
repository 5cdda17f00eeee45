"""A profile of the settings: a model with a system prompt, sampling parameters and server options, under one name."""

from dataclasses import fields
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mcp_local_llm.values.chat import (
    MaxThinkingTokens,
    MaxTokens,
    MinP,
    OccurrencePenalty,
    RepetitionPenalty,
    SamplingParams,
    Temperature,
    TopK,
    TopP,
)
from mcp_local_llm.values.endpoint import EndpointName
from mcp_local_llm.values.numbers import NO_BOOLEAN

ProfileName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]*$", max_length=64)]
"""Begins with a letter, because a number means a place in the list."""


class Profile(BaseModel):
    """One profile. The values of a request win over the values of its profile.

    Attributes:
        model: a role, an id or a fragment, as for set_model; with `endpoint`, the server's name of the model.
        endpoint: the name of a configured endpoint.
        context: tokens of context for each request, 512 to 1048576; unset, the setting reserve_context.
        slots: requests that llama-server answers concurrently, 1 to 64; unset, the setting llama_slots.
        system: the system prompt of requests without one.
        thinking, max_thinking_tokens, max_tokens, temperature and so on: as in a request.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Annotated[str, Field(min_length=1)] | None = None
    endpoint: EndpointName | None = None
    context: Annotated[int, Field(ge=512, le=1_048_576), NO_BOOLEAN] | None = None
    slots: Annotated[int, Field(ge=1, le=64), NO_BOOLEAN] | None = None
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
        """The text that names its model for `Catalog.named`."""
        return "/".join(part for part in (self.endpoint, self.model) if part)

    @property
    def sampling(self) -> SamplingParams:
        """Sampling parameters for requests that leave them unset."""
        names = [entry.name for entry in fields(SamplingParams) if entry.name in Profile.model_fields]
        return SamplingParams(**{name: getattr(self, name) for name in names})

    def summary(self) -> str:
        """Return in a few words what the profile sets beside the model; empty where it sets nothing."""
        said = self.model_dump(exclude_none=True, exclude={"model", "endpoint", "system"})
        words = [f"{name} {str(value).lower() if isinstance(value, bool) else value}" for name, value in said.items()]
        return ", ".join([*words, *(["a system prompt"] if self.system else [])])
