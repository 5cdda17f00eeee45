"""The address, token and cache of the hub, from the variables of `huggingface_hub`, with the same meaning."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mcp_local_llm.setup.places import from_home, hugging_face_folder
from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.values.errors import ConfigError

DEFAULT_ENDPOINT = "https://huggingface.co"
MAX_TOKEN_BYTES = 4096
"""The most bytes of a token file."""
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})


@dataclass(frozen=True)
class HubAccess:
    """The access to the hub.

    Attributes:
        cache: the hub's cache, which holds a `models--publisher--name` folder for each repository.
        endpoint: the hub's address, without a slash at the end (HF_ENDPOINT).
        offline: the user forbids the network (HF_HUB_OFFLINE).
        token: from the environment (HF_TOKEN); it wins over `token_file`.
        token_file: the file of `hf auth login`; None where tokens must not be sent implicitly.
    """

    cache: Path
    endpoint: str = DEFAULT_ENDPOINT
    offline: bool = False
    token: str | None = None
    token_file: Path | None = None

    def read_token(self) -> str | None:
        """Return the token to send; the file is read each time, since the user may log in while this process runs."""
        if self.token or self.token_file is None:
            return self.token
        try:
            return "".join(read_regular(self.token_file, MAX_TOKEN_BYTES).decode().split()) or None
        except (OSError, UnicodeDecodeError):
            return None  # Public repositories need no token.


def hub_access(environ: Mapping[str, str], home: Path, cache: Path) -> HubAccess:
    """Read HF_ENDPOINT, HF_HUB_OFFLINE, HF_TOKEN and their older names.

    Args:
        environ: the process's environment.
        home: the user's home folder.
        cache: the folder to download into.

    Raises:
        ConfigError: HF_ENDPOINT is not an address.
    """
    endpoint = (environ.get("HF_ENDPOINT", "").strip() or DEFAULT_ENDPOINT).rstrip("/")
    address = urlsplit(endpoint)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ConfigError(f"HF_ENDPOINT is {endpoint!r}. It must be an address such as {DEFAULT_ENDPOINT}.")
    on_demand = _is_true(environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN"))
    token = environ.get("HF_TOKEN", "").strip() or environ.get("HUGGING_FACE_HUB_TOKEN", "").strip() or None
    return HubAccess(
        cache=cache,
        endpoint=endpoint,
        offline=_is_true(environ.get("HF_HUB_OFFLINE") or environ.get("TRANSFORMERS_OFFLINE")),
        token=None if on_demand else token,
        token_file=None if on_demand else _token_file(environ, home),
    )


def _token_file(environ: Mapping[str, str], home: Path) -> Path:
    named = environ.get("HF_TOKEN_PATH")
    return from_home(named, home) if named else hugging_face_folder(environ, home) / "token"


def _is_true(value: str | None) -> bool:
    return (value or "").strip().upper() in _TRUE
