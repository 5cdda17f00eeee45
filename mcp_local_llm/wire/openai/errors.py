"""The error envelope of OpenAI's API, both ways: `{"error": {"message", "type", "param", "code"}}`. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp_local_llm.values.errors import (
    AmbiguousModelError,
    BackendProtocolError,
    BackendUnavailableError,
    BusyError,
    ConfigError,
    ContextLengthError,
    DownloadError,
    FileAccessError,
    GenerationError,
    HolderGoneError,
    IncompleteModelError,
    InsufficientMemoryError,
    InvalidRequestError,
    LocalLLMError,
    ModelLoadError,
    UnknownModelError,
)
from mcp_local_llm.wire.json_values import as_object, as_text

CODES: Mapping[type[LocalLLMError], str] = {
    AmbiguousModelError: "ambiguous_model",
    BackendProtocolError: "backend_protocol",
    BackendUnavailableError: "backend_unavailable",
    BusyError: "rate_limit_exceeded",
    ConfigError: "config",
    ContextLengthError: "context_length_exceeded",
    DownloadError: "download",
    FileAccessError: "file_access",
    GenerationError: "generation_failed",
    HolderGoneError: "holder_gone",
    IncompleteModelError: "incomplete_model",
    InsufficientMemoryError: "insufficient_memory",
    InvalidRequestError: "invalid_request",
    ModelLoadError: "model_load",
    UnknownModelError: "model_not_found",
}
"""Code of each error; OpenAI's own word where it has one, so that clients know it."""

_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
}


class ParameterError(InvalidRequestError):
    """A field of a request over HTTP is wrong; `param` says which, as OpenAI writes it (`messages[0].content`)."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True)
class ServerError:
    """An error as a server told it. `details` holds whatever else stood beside the message."""

    message: str
    code: str = ""
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])


def error_body(error: LocalLLMError) -> dict[str, Any]:
    """Write an error for a client; its HTTP status is `error.status`."""
    code = next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), "internal")
    param = error.param if isinstance(error, ParameterError) else None
    return envelope(str(error), status=error.status, code=code, param=param)


def envelope(message: str, *, status: int, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """Write an error that is none of ours, such as a missing key (401) or an unknown path (404)."""
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def read_error(value: object) -> ServerError | None:
    """Find the error in what a server sent; None where it is none.

    Known forms: OpenAI's envelope, `{"error": "text"}` (mlx_lm, Ollama, LM Studio), and `{"object": "error",
    "message": ...}` or `{"detail": ...}` (older vLLM, FastAPI).
    """
    data = as_object(value)
    error = data.get("error")
    if isinstance(error, str) and error:
        return ServerError(error, details=data)
    found = as_object(error)
    if found:
        message = as_text(found.get("message")) or str(dict(found))
        return ServerError(message, _code(found.get("code")) or as_text(found.get("type")), found)
    if "choices" in data:
        return None
    message = as_text(data.get("message")) or as_text(data.get("detail"))
    if data.get("object") == "error" or message:
        return ServerError(message or str(dict(data)), _code(data.get("code")), data)
    return None


def error_type(code: str) -> type[LocalLLMError] | None:
    """Return the error that our own server means by a code; None for any other."""
    return next((kind for kind, name in CODES.items() if name == code), None)


def _code(value: object) -> str:
    """Return a code that is a word; some servers repeat the HTTP status there."""
    return value if isinstance(value, str) else ""
