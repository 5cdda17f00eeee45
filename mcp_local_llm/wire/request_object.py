"""The base of the objects in a request's body, for every API that is served here. Pure."""

from typing import Any, cast

from pydantic import BaseModel, ConfigDict, model_validator

from mcp_local_llm.values.placeholders import filled_in


class RequestObject(BaseModel):
    """An object of a request; unknown fields and placeholders count as left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _drop_placeholders(cls, value: object) -> object:
        return filled_in(cast(dict[str, Any], value)) if isinstance(value, dict) else value
