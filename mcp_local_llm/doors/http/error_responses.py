"""Error responses, in the form of the API whose path was asked for."""

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from mcp_local_llm.doors.http.api import ErrorFormat, json_response
from mcp_local_llm.doors.http.messages import MESSAGES_ERRORS
from mcp_local_llm.doors.http.openai import OPENAI_ERRORS
from mcp_local_llm.doors.http.responses import RESPONSES_ERRORS
from mcp_local_llm.doors.http.streaming import in_words_of_http
from mcp_local_llm.values.call import mark_failed
from mcp_local_llm.values.errors import LocalLLMError, shortened
from mcp_local_llm.wire.http_error import HttpError

ERROR_FORMATS: Mapping[str, ErrorFormat] = {"/v1/messages": MESSAGES_ERRORS, "/v1/responses": RESPONSES_ERRORS}
"""Path, with all below it, → the form of its errors; everywhere else they have OpenAI's."""


def error_format(path: str) -> ErrorFormat:
    """Return the form of the errors at a path."""
    found = (form for start, form in ERROR_FORMATS.items() if f"{path}/".startswith(f"{start}/"))
    return next(found, OPENAI_ERRORS)


def refusal(path: str, status: int, message: str, code: str | None = None) -> HttpError:
    """Refuse a request to a path with a status of HTTP."""
    return error_format(path).refusal(status, message, code)


def error_response(error: HttpError, headers: Mapping[str, str] | None = None) -> Response:
    """Make the response of an error, with more headers."""
    return json_response(error.body, error.status, {**error.headers, **(headers or {})})


async def _failure(request: Request, error: Exception) -> Response:
    assert isinstance(error, LocalLLMError)
    mark_failed(error)
    return error_response(error_format(request.url.path).failure(error, in_words_of_http(str(error))))


async def _http_failure(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message, path = error.detail, shortened(request.url.path)
    if error.status_code == 404:
        message = f"There is no {path} here. Requests go to /v1/chat/completions, /v1/responses, /v1/messages and such."
    elif error.status_code == 405:
        message = f"{path} does not take {shortened(request.method)}."
    return error_response(refusal(request.url.path, error.status_code, message), error.headers)


async def _gone(request: Request, error: Exception) -> Response:
    """End a request whose client disconnected while it was still sending."""
    return Response(status_code=400)


async def _unexpected(request: Request, error: Exception) -> Response:
    """Answer 500 for a defect; starlette logs its traceback after the response."""
    return error_response(refusal(request.url.path, 500, "The server failed; its log says why.", "internal"))


EXCEPTION_HANDLERS = {
    LocalLLMError: _failure,
    HTTPException: _http_failure,
    ClientDisconnect: _gone,
    Exception: _unexpected,
}
"""Exception → what answers it."""
