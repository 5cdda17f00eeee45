"""A profile as it stands in the settings: a model and how it is asked, under one name."""

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
