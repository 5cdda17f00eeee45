"""The body of a request, and the base of the objects in it, for every API that is served here. Pure."""

from typing import Any, cast

from pydantic import BaseModel, ConfigDict, model_validator

from mcp_local_llm.values.placeholders import filled_in
from mcp_local_llm.wire.openai.errors import ParameterError


def body_object(body: object) -> dict[str, Any]:
    """Return a decoded body.

    Raises:
        ParameterError: it is no object.
    """
    if not isinstance(body, dict):
        raise ParameterError("The body of the request must be a JSON object.", "body")
    return cast(dict[str, Any], body)


class RequestObject(BaseModel):
    """An object of a request; unknown fields and placeholders count as left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _drop_placeholders(cls, value: object) -> object:
        return filled_in(cast(dict[str, Any], value)) if isinstance(value, dict) else value
