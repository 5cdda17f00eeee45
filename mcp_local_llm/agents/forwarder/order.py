"""What the forwarder's process is told at its start, as a line of JSON on stdin: arguments would show the keys."""

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

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
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no http:// or https:// address")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError(f"{parts.scheme}://{parts.hostname} has a login, a query or a fragment in its address")
        return url
