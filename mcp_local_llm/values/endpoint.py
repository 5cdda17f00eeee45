"""OpenAI-compatible servers: the endpoints of the settings, and the ids of their models. Pure data and functions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mcp_local_llm.values.numbers import NO_BOOLEAN
from mcp_local_llm.values.user_path import UserPath

FlavorName = Literal[
    "auto",
    "openai",
    "mlx_lm.server",
    "vllm-mlx",
    "vllm",
    "llama-server",
    "llama-swap",
    "ollama",
    "lm-studio",
    "omlx",
    "litellm",
    "mcp-local-llm",
]
"""The server program. `auto` means `openai`, the fields that OpenAI documents; nothing is detected."""

EndpointName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
"""Letters, digits, dots, hyphens and underscores; the first part of the ids of its models."""
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
"""Name of an environment variable."""


class Endpoint(BaseModel):
    """One OpenAI-compatible server.

    Attributes:
        name: e.g. `gpubox`.
        url: base URL of the API, e.g. `http://192.168.1.20:8000/v1`; without credentials, query and last slash.
        flavor: the server program; it decides which fields are sent and how thinking is switched.
        api_key_env: the environment variable that holds the key, in the process that sends the request.
        api_key_file: the file that holds the key, for clients that start servers without the user's environment; read
            with each request. Without both, no key is sent.
        models: the names of its models; empty requests them from the server.
        files: text of the user's files may be sent to it; a server on this machine may always have it.
        context_length: the window of its models, in tokens, whatever the server says; None takes what it says.
        read_timeout_s: seconds without data after which a call fails; None is without a limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: EndpointName
    url: str
    flavor: FlavorName = "auto"
    api_key_env: VariableName | None = None
    api_key_file: UserPath | None = None
    models: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    files: bool = False
    context_length: Annotated[int, Field(gt=0), NO_BOOLEAN] | None = None
    read_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False), NO_BOOLEAN] | None = None

    @field_validator("url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        """Refuse a URL that is not the base of an API, or that holds credentials, which would appear in messages."""
        try:
            parts = urlsplit(url.strip())
            sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            raise ValueError("it is not a URL") from None
        if not sound:
            raise ValueError("it must begin with http:// or https:// and name a host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("it must not hold credentials; name the key's variable in api_key_env, or its file")
        if parts.query or parts.fragment:
            raise ValueError("it must not hold a query or a fragment")
        return url.strip().rstrip("/")

    @field_validator("api_key_file")
    @classmethod
    def _whole(cls, file: Path | None) -> Path | None:
        if file is not None and not file.is_absolute():
            raise ValueError("give the file's whole path, or one that begins with ~")
        return file

    @model_validator(mode="after")
    def _one_key(self) -> "Endpoint":
        if self.api_key_env is not None and self.api_key_file is not None:
            raise ValueError("give either api_key_env or api_key_file")
        return self

    @property
    def takes_files(self) -> bool:
        """Whether text of the user's files may be sent to it."""
        return self.files or loopback_port(self.url) is not None

    def model_id(self, served_name: str) -> str:
        """Return the id of the model that the server calls `served_name`."""
        return f"{self.name}/{served_name}"

    def served_name(self, model_id: str) -> str:
        """Return the server's name of the model with this id."""
        return model_id.removeprefix(f"{self.name}/")


@dataclass(frozen=True)
class DetectedServer:
    """A server that answered on a port of this machine, whether or not the settings name it.

    Attributes:
        flavor: the server program; None where its answers do not show it.
        models: the names that it lists.
        locked: it requires a key, so its models are not known.
    """

    port: int
    flavor: FlavorName | None
    models: tuple[str, ...] = ()
    locked: bool = False

    @property
    def url(self) -> str:
        """Base URL of the API."""
        return f"http://127.0.0.1:{self.port}/v1"


def loopback_port(url: str) -> int | None:
    """Return the port of a URL on this machine; None for another machine, or for a text that is not a URL."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None
    return port if parts.hostname in ("127.0.0.1", "localhost", "::1") else None


def shown_url(url: str) -> str:
    """Return a URL without credentials, query and fragment, for messages; a question mark for any other text."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "?"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}" if host else "?"


def endpoint_of(model_id: str, endpoints: Iterable[Endpoint]) -> Endpoint | None:
    """Return the endpoint that serves the model with this full id; None for any other text."""
    text = model_id.strip()
    return next((one for one in endpoints if text.startswith(f"{one.name}/") and one.served_name(text)), None)


def unconfigured_endpoints(registered: Mapping[str, str], endpoints: Iterable[Endpoint]) -> tuple[str, ...]:
    """Return a sentence for each endpoint of the registry (name → URL) that the settings do not name."""
    configured = {endpoint.url for endpoint in endpoints}
    return tuple(
        f"The registry knows the endpoint {name} ({shown_url(url)}), which is not used until the settings name it: "
        f'[[endpoints]] name = "{name}" url = "{shown_url(url)}"'
        for name, url in registered.items()
        if url.strip().rstrip("/") not in configured
    )
