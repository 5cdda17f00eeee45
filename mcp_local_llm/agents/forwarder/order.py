"""What the forwarder's process is told at its start, as a line of JSON on stdin: arguments would show the keys."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mcp_local_llm.agents.forwarder.addresses import address_of

API = "https://api.anthropic.com"
"""Where Claude Code sends its requests unless it is told otherwise."""


class ForwarderOrder(BaseModel):
    """Where requests go.

    Attributes:
        key: the first part of the path of every request, so that only the agent that was told it gets in.
        models: the names that mean the local model.
        upstream: base URL of the API, for every other request.
        door: base URL of the local door.
        door_key: the key of the local door.
        port: where to listen; 0 takes any free port.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(pattern=r"^[A-Za-z0-9_-]{16,}$")
    models: frozenset[str] = Field(min_length=1)
    upstream: str = API
    door: str
    door_key: str
    port: int = Field(default=0, ge=0, le=65535)

    @field_validator("upstream", "door")
    @classmethod
    def _is_base_url(cls, url: str) -> str:
        if address_of(url).login is not None or "?" in url or "#" in url:
            raise ValueError("it must have no login, query or fragment")
        return url
