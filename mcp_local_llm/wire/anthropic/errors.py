"""The error envelope of the Messages API: `{"type": "error", "error": {"type", "message"}, "request_id"}`. Pure.

Clients act on status, type and some words: Claude Code compacts the conversation where a message says "prompt is too
long: N tokens > M maximum", and repeats every 409 and 5xx ten times, which helps only where the cause may pass.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mcp_local_llm.values.call import current_id
from mcp_local_llm.values.errors import (
    BusyError,
    ContextLengthError,
    IncompleteModelError,
    InsufficientMemoryError,
    LocalLLMError,
    ModelLoadError,
)
from mcp_local_llm.wire.http_error import HttpError
from mcp_local_llm.wire.openai.errors import ParameterError

RETRY_AFTER_S = 5
"""Seconds after which a busy server should be asked again."""

_OVERLOADED = 529
_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    _OVERLOADED: "overloaded_error",
}

_THREAD_NOT_FOUND = {"error_code": "thread_not_found"}

_LASTING = (IncompleteModelError, InsufficientMemoryError, ModelLoadError)
"""Errors that are the same at the next try, whatever their own status."""


class UnknownThreadError(ParameterError):
    """A request continues a conversation that the server should have kept; Anthropic's SDK then sends it whole."""

    def __init__(self) -> None:
        super().__init__("thread: conversations are not kept here; send all messages, without continuing.", "thread")


def failure(error: LocalLLMError, message: str) -> HttpError:
    """Write an error of ours, with its message in the words of the door."""
    if isinstance(error, BusyError):
        return _error(_OVERLOADED, message, {"retry-after": str(RETRY_AFTER_S)})
    if isinstance(error, ContextLengthError):
        return _error(400, _overflow(error, message))
    if isinstance(error, UnknownThreadError):
        told = _error(error.status, message)
        return replace(told, body=told.body | {"error": told.body["error"] | {"details": _THREAD_NOT_FOUND}})
    return _error(400 if isinstance(error, _LASTING) else error.status, message)


def refusal(status: int, message: str, code: str | None) -> HttpError:
    """Refuse a request with a status of HTTP; Anthropic's envelope has no place for a code."""
    return _error(status, message)


def _overflow(error: ContextLengthError, message: str) -> str:
    tokens, window = error.prompt_tokens, error.window
    if tokens is None or window is None or tokens <= window:
        return f"prompt is too long: {message}"
    return f"prompt is too long: {tokens} tokens > {window} maximum"


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> HttpError:
    request_id = f"req_{current_id()}"
    kind = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    body: dict[str, Any] = {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}
    return HttpError(status, body, {"request-id": request_id, **(headers or {})})
