"""The error envelope of OpenAI's API, both ways: `{"error": {"message", "type", "param", "code"}}`. Pure.

Errors of other servers are read in all forms that are known, and recognised where they mean that the prompt does not
fit into the context window. `HolderGoneError` has no code: it exists between sessions only.
"""

import re
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
    IncompleteModelError,
    InsufficientMemoryError,
    InvalidRequestError,
    LocalLLMError,
    ModelLoadError,
    UnknownModelError,
)
from mcp_local_llm.wire.http_error import HttpError
from mcp_local_llm.wire.json_values import as_count, as_object, as_text

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

_OVERFLOW_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})


MAX_MESSAGE = 4000
"""Characters of a message that are looked at; a server may put the whole prompt into it."""


# Group `window`: what fits; group `prompt`: what was sent. Tried in order, the one with more numbers first.
_OVERFLOW_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        # OpenAI, LiteLLM, vLLM up to 0.8: "This model's maximum context length is 4096 tokens. However, you requested
        # 5000 tokens (4000 in the messages, 1000 in the completion)." / "... your messages resulted in 5000 tokens."
        r"maximum context length is (?P<window>\d+) tokens.*?(?P<prompt>\d+) (?:in the messages|input tokens)",
        r"maximum context length is (?P<window>\d+) tokens.*?(?:requested|resulted in) (?P<prompt>\d+) tokens",
        # vLLM: "The decoder prompt (length 5000) is longer than the maximum model length of 4096."
        r"prompt \((?:total )?length (?P<prompt>\d+)\) is longer than the maximum model length of (?P<window>\d+)",
        # llama.cpp: "request (4476 tokens) exceeds the available context size (4096 tokens), try increasing it"
        r"request \((?P<prompt>\d+) tokens\) exceeds the available context size \((?P<window>\d+) tokens\)",
        # LM Studio: "Trying to keep the first 111490 tokens when context the overflows. However, the model is loaded
        # with context length of only 32768 tokens, which is not enough."
        r"keep the first (?P<prompt>\d+) tokens.*?context length of only (?P<window>\d+) tokens",
        # LM Studio: "The number of tokens to keep from the initial prompt is greater than the context length
        # (n_keep: 13055>= n_ctx: 4096)."
        r"n_keep: (?P<prompt>\d+)\s*>=\s*n_ctx: (?P<window>\d+)",
        # oMLX, rapid-mlx and others: "Prompt too long: 5000 tokens exceeds max context window of 4096 tokens"
        r"(?:prompt|input)\D{0,40}?(?P<prompt>\d+) tokens\D{0,60}?(?:max|limit|window|context)\D{0,40}(?P<window>\d+)",
        # OpenAI: "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 477469 tokens."
        r"configured limit of (?P<window>\d+) tokens\D{0,60}(?P<prompt>\d+) tokens",
        r"maximum context length is (?P<window>\d+)",
        r"context (?:length|window|size) (?:of|is) (?P<window>\d+).{0,60}exceed",
        # Ollama: "input length exceeds the context length"; llama.cpp before the code: "... exceeds the available
        # context size".
        r"exceed\w* (?:the |maximum |max |available |model'?s? )*context (?:length|size|window)",
        r"context (?:length|size|window) (?:was |is )?exceeded",
        r"prompt is too long|prompt too long|input is too long",
    )
)


class ParameterError(InvalidRequestError):
    """A field of a request over HTTP is wrong; `param` says which, as OpenAI writes it (`messages[0].content`)."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True)
class ServerError:
    """An error from a server. `details` holds the members beside the message."""

    message: str
    code: str = ""
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class ContextOverflow:
    """Tokens of the prompt and of the window, as far as the server told them."""

    prompt_tokens: int | None = None
    window: int | None = None


def error_body(error: LocalLLMError, message: str = "", *, status: int | None = None) -> dict[str, Any]:
    """Write an error for a client, with its own message or this one; its HTTP status is `error.status` or this one."""
    code = next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), "internal")
    param = error.param if isinstance(error, ParameterError) else None
    return envelope(message or str(error), status=status or error.status, code=code, param=param)


def envelope(message: str, *, status: int, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """Write an error that is not a `LocalLLMError`, such as a missing key (401) or an unknown path (404)."""
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def refusal(status: int, message: str, code: str | None) -> HttpError:
    """Write a refusal that is not an error of ours, such as a missing key (401)."""
    return HttpError(status, envelope(message, status=status, code=code))


def read_error(value: object) -> ServerError | None:
    """Find the error in the JSON of a server; None where it holds none.

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
    """Return the error that has this code; None for an unknown code."""
    return next((kind for kind, name in CODES.items() if name == code), None)


def context_overflow(error: ServerError) -> ContextOverflow | None:
    """Return the sizes where an error means that prompt and answer do not fit; None for any other error."""
    prompt, window = as_count(error.details.get("n_prompt_tokens")), as_count(error.details.get("n_ctx"))
    if prompt is not None and window is not None:
        return ContextOverflow(prompt, window)
    for wording in _OVERFLOW_PATTERNS:
        if found := wording.search(error.message[:MAX_MESSAGE]):
            numbers = found.groupdict()
            return ContextOverflow(_number(numbers.get("prompt")), _number(numbers.get("window")))
    return ContextOverflow(prompt, window) if error.code in _OVERFLOW_CODES else None


def _code(value: object) -> str:
    """Return a code that is a word; some servers repeat the HTTP status there."""
    return value if isinstance(value, str) else ""


def _number(digits: str | None) -> int | None:
    return int(digits) if digits else None
