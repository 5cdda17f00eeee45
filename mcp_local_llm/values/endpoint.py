"""A server elsewhere that answers for models: what the user says of it, and the names its models have here.

Pure data; nothing here connects to anything.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

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
"""Which program serves. `auto` asks nobody and means `openai`, the fields that OpenAI documents."""

EndpointName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
"""Letters, digits, dots, hyphens and underscores; it is the first part of its models' ids."""
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
"""Name of an environment variable."""


class Endpoint(BaseModel):
    """One OpenAI-compatible server.

    Attributes:
        name: what the user calls it, e.g. `gpubox`.
        url: where its API begins, e.g. `http://192.168.1.20:8000/v1`; without credentials, query and last slash.
        flavor: which program serves there; it decides which fields are sent and how thinking is switched.
        api_key_env: the environment variable that holds its key, in the process that sends the request.
        api_key_file: the file that holds its key, for clients that start servers without the user's environment; read
            with each request. Neither of the two: it needs no key.
        models: the names of its models; empty asks the server.
        read_timeout_s: seconds of silence after which a call fails; None waits as long as the caller does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: EndpointName
    url: str
    flavor: FlavorName = "auto"
    api_key_env: VariableName | None = None
    api_key_file: Path | None = None
    models: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    read_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @field_validator("url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        """Refuse what is no address of an API, and credentials, which would end up in messages."""
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
    def _expanded(cls, file: Path | None) -> Path | None:
        if file is None:
            return None
        file = file.expanduser()
        if not file.is_absolute():
            raise ValueError("give the file's whole path, or one that begins with ~")
        return file

    @model_validator(mode="after")
    def _one_key(self) -> "Endpoint":
        if self.api_key_env is not None and self.api_key_file is not None:
            raise ValueError("give either api_key_env or api_key_file")
        return self

    def model_id(self, served_name: str) -> str:
        """Return what the model that the server calls `served_name` is called here."""
        return f"{self.name}/{served_name}"

    def served_name(self, model_id: str) -> str:
        """Return what the server calls the model that is `model_id` here."""
        return model_id.removeprefix(f"{self.name}/")


@dataclass(frozen=True)
class Sighting:
    """A server that answered on a port of this machine, whether or not the settings know it.

    Attributes:
        flavor: which program it is; None where its answers do not tell.
        models: what it lists.
        locked: it wants a key, so it was not asked further.
    """

    port: int
    flavor: FlavorName | None
    models: tuple[str, ...] = ()
    locked: bool = False

    @property
    def url(self) -> str:
        """Where its API begins."""
        return f"http://127.0.0.1:{self.port}/v1"


def loopback_port(url: str) -> int | None:
    """Return the port of a URL that leads to this machine; None where it leads elsewhere, or is no URL."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None
    return port if parts.hostname in ("127.0.0.1", "localhost", "::1") else None


def shown_url(url: str) -> str:
    """Return a URL fit to be shown: without credentials, query and fragment; a question mark where it is none."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "?"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}" if host else "?"


def endpoint_of(model_id: str, endpoints: Iterable[Endpoint]) -> Endpoint | None:
    """Return the endpoint that a full id belongs to; None where it names no endpoint, or nothing behind one."""
    text = model_id.strip()
    return next((one for one in endpoints if text.startswith(f"{one.name}/") and one.served_name(text)), None)


def offered(others: Mapping[str, str], endpoints: Iterable[Endpoint]) -> tuple[str, ...]:
    """Say which endpoints others know of (name → URL) that the settings do not, and how to use each."""
    configured = {endpoint.url for endpoint in endpoints}
    return tuple(
        f"The registry knows the endpoint {name} ({shown_url(url)}), which nobody asks before it is in the settings: "
        f'[[endpoints]] name = "{name}" url = "{shown_url(url)}"'
        for name, url in others.items()
        if url.strip().rstrip("/") not in configured
    )
