"""The errors of the Responses API: the statuses that its clients understand, and the codes of `response.failed`. Pure.

Codex takes 400 for final and shows its text; it repeats a 5xx thirty times, and takes a 429 without `retry-after` for
final. So what fails in the same way again is a 400 here, and what is worth a repetition is a 503 with `retry-after`.
"""

from collections.abc import Mapping

from mcp_local_llm.values.errors import (
    BackendUnavailableError,
    BusyError,
    ConfigError,
    ContextLengthError,
    FileAccessError,
    InvalidRequestError,
    LocalLLMError,
    ModelError,
    UnknownModelError,
)
from mcp_local_llm.wire.http_error import HttpError
from mcp_local_llm.wire.openai.errors import error_body

RETRY_AFTER_S = 2
"""Seconds after which a client that was refused for a full queue or a server that is away may ask again."""

_FAILURE_CODES: Mapping[type[LocalLLMError], str] = {
    BusyError: "rate_limit_exceeded",
    ConfigError: "invalid_prompt",
    ContextLengthError: "context_length_exceeded",
    FileAccessError: "invalid_prompt",
    InvalidRequestError: "invalid_prompt",
    ModelError: "invalid_prompt",
}
"""Codex repeats a request after `rate_limit_exceeded` and `server_error`; others end the turn with their message."""


def failed_error(error: LocalLLMError, message: str) -> dict[str, str]:
    """Write the error of `response.failed`."""
    code = next((_FAILURE_CODES[kind] for kind in type(error).__mro__ if kind in _FAILURE_CODES), "server_error")
    if code == "rate_limit_exceeded":
        # Codex reads the seconds from these words.
        message = f"{message} Try again in {RETRY_AFTER_S}s."
    return {"code": code, "message": message}


def failure(error: LocalLLMError, message: str) -> HttpError:
    """Write an error that comes before the first byte of an answer."""
    again = isinstance(error, BusyError | BackendUnavailableError)
    final = isinstance(error, ModelError) and not isinstance(error, UnknownModelError)
    status = 503 if again else 400 if final or isinstance(error, ConfigError) else error.status
    headers = {"x-should-retry": str(again).lower(), **({"retry-after": str(RETRY_AFTER_S)} if again else {})}
    return HttpError(status, error_body(error, message, status=status), headers)
