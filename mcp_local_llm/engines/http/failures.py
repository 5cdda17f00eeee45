"""Makes the errors of one endpoint, each with advice. It must not know an HTTP library.

The key of an endpoint appears in no message: it is cut out of a server's text, and a server's text about a refused key
is not shown at all.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mcp_local_llm.values.endpoint import Endpoint
from mcp_local_llm.values.errors import (
    BackendProtocolError,
    BackendUnavailableError,
    BusyError,
    ConfigError,
    ContextLengthError,
    InvalidRequestError,
    LocalLLMError,
    UnknownModelError,
)
from mcp_local_llm.values.visible_text import printable
from mcp_local_llm.wire.flavors import FLAVORS
from mcp_local_llm.wire.openai.errors import ContextOverflow, ServerError, context_overflow, error_type, read_error

_NO_PATH = ("not found", "file not found", "404 page not found")
"""Messages of servers about an unknown path: vLLM and FastAPI, llama-server, Ollama."""

MAX_SHOWN = 400
"""Characters of a server's message that are passed on."""
MAX_OURS = 8000
"""The same for a server of ours, which may list models."""


@dataclass(frozen=True)
class EndpointErrors:
    """Makes the errors of one endpoint.

    Attributes:
        model_id: the requested model.
        secret: returns the key that was sent, so that it can be cut out of what the server says.
    """

    endpoint: Endpoint
    model_id: str = ""
    secret: Callable[[], str | None] = field(default=lambda: None, repr=False)

    @property
    def title(self) -> str:
        """The server, as messages call it."""
        return f"{self.endpoint.name} ({self.endpoint.url})"

    def unreachable(self, reason: str) -> BackendUnavailableError:
        """Return the error for an address that does not answer."""
        start = FLAVORS[self.endpoint.flavor].start
        return BackendUnavailableError(f"{self.title} cannot be reached: {self.shown(reason) or 'no answer'}. {start}")

    def silent(self, seconds: float | None) -> BackendUnavailableError:
        """Return the error for a server that took the request and then sent nothing for too long."""
        limit = "too long" if seconds is None else f"{seconds:g} s"
        return BackendUnavailableError(
            f"{self.title} said nothing for {limit}. Raise read_timeout_s of the endpoint, or leave it out to wait."
        )

    def still_loading(self, seconds: float) -> BackendUnavailableError:
        """Return the error for a server that says for too long that it is loading its model."""
        return BackendUnavailableError(
            f"{self.title} still says that it is loading its model, after {seconds / 60:.0f} minutes. Look at its log."
        )

    def cut(self, reason: str, tokens: int = 0) -> BackendUnavailableError:
        """Return the error for a connection that ended before the answer did."""
        detail = f": {self.shown(reason)}" if reason else ""
        return BackendUnavailableError(
            f"{self.title} ended the connection in the middle of the answer, after {tokens} tokens{detail}. "
            "It may have crashed or run out of memory; look at its log, then send the request again."
        )

    def garbage(self, reason: str) -> BackendProtocolError:
        """Return the error for bytes that are not the protocol."""
        return BackendProtocolError(
            f"{self.title} sent {self.shown(reason)}. "
            "Check that its url is that of an OpenAI-compatible API; most end in /v1."
        )

    def address(self, reason: str) -> ConfigError:
        """Return the error for a URL that cannot be used."""
        return ConfigError(f"The url of the endpoint {self.title} cannot be used: {self.shown(reason)}.")

    def status(self, status: int, body: bytes, headers: Mapping[str, str]) -> LocalLLMError:
        """Return the error that an answer with another status than 200 means."""
        if 300 <= status < 400:
            target = self.shown(headers.get("location", "another address"))
            return BackendProtocolError(
                f"{self.title} redirects to {target}, which is not followed: it could be another machine. "
                "Put the address that should be asked into the endpoint's url."
            )
        if status in (401, 403):
            return self._refused_key(status)
        error = read_error(_decoded(body)) or ServerError(body.decode(errors="replace").strip() or "nothing")
        return self.from_server(error, status, headers.get("retry-after", ""))

    def from_server(self, error: ServerError, status: int | None = None, retry_after: str = "") -> LocalLLMError:
        """Return the error that a server sent, with a status or, where it is None, in the middle of a stream."""
        ours = error_type(error.code) if self.endpoint.flavor == "mcp-local-llm" else None
        if ours is not None:
            told = ours(_legible(self._without_key(error.message)))
            told.told_by_server = True
            return told
        if overflow := context_overflow(error):
            return ContextLengthError(self._overflow(overflow, error), overflow.prompt_tokens, overflow.window)
        says = f"{self.title} says: {self.shown(error.message)}" + ("" if status is None else f" (HTTP {status})")
        if status == 429 or "maximum pending requests" in error.message:
            when = f"in {retry_after} s" if retry_after.isdecimal() else "when other requests have finished"
            return BusyError(f"{says}. It is busy; try again {when}.")
        if status == 404:
            return self._not_found(error)
        if status in (400, 409, 413, 415, 422):
            return InvalidRequestError(f"{says}.")
        if status in (408, 502, 503, 504):
            return BackendUnavailableError(f"{says}. Look at its log, then try again.")
        return BackendProtocolError(f"{says}. Look at its log.")

    def shown(self, text: str) -> str:
        """Shorten a text of the server's for a message, and remove the key from it."""
        clean = " ".join(self._without_key(text).split())
        return (clean if len(clean) <= MAX_SHOWN else clean[:MAX_SHOWN] + " …").rstrip(".")

    def _without_key(self, text: str) -> str:
        key = self.secret()
        return text.replace(key, "***") if key else text

    def _refused_key(self, status: int) -> ConfigError:
        variable, file = self.endpoint.api_key_env, self.endpoint.api_key_file
        if variable is None and file is None:
            return ConfigError(
                f'{self.title} wants an API key (HTTP {status}). Put api_key_env = "NAME" into its [[endpoints]] '
                "entry, with the name of the environment variable that holds the key, or api_key_file with its file."
            )
        where = f"the environment variable {variable}" if variable else str(file)
        return ConfigError(f"{self.title} refused the key (HTTP {status}). Check {where}.")

    def _not_found(self, error: ServerError) -> LocalLLMError:
        """Distinguish an unknown model from an unknown path."""
        if error.message.lower().strip(". ") in _NO_PATH or not error.details:
            return self.garbage(f"HTTP 404, {error.message}")
        return UnknownModelError(f"{self.title} does not have {self.model_id}. It says: {self.shown(error.message)}.")

    def _overflow(self, overflow: ContextOverflow, error: ServerError) -> str:
        name = self.model_id or self.title
        if overflow.window is None:
            return f"The prompt does not fit into the context window of {name}: {self.shown(error.message)}."
        count, window = overflow.prompt_tokens, f"{overflow.window} tokens as its server runs it"
        prompt = "The prompt" if count is None else f"The prompt of {count} tokens"
        # Some servers count the answer as well: then the prompt alone would fit.
        together = " and max_tokens together do" if count is not None and count <= overflow.window else " does"
        return (
            f"{prompt}{together} not fit into the context window of {name}, which is {window}. "
            "Shorten the prompt, lower max_tokens, or start the server with a larger context."
        )


def loading(status: int, body: bytes) -> bool:
    """Whether a server is still loading its model; llama-server answers 503 then."""
    if status != 503:
        return False
    error = read_error(_decoded(body))
    return error is not None and "loading" in error.message.lower()


def _legible(text: str) -> str:
    """Return the message of a server of ours, whose lines stay, without control characters and not too long."""
    shown = printable(text[:MAX_OURS], keep="\n")
    return shown if len(text) <= MAX_OURS else f"{shown} …"


def _decoded(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
