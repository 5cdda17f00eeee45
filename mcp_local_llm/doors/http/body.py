"""The body of a request as JSON, no longer than it may be."""

import json

from starlette.exceptions import HTTPException
from starlette.requests import Request

from mcp_local_llm.wire.openai.errors import ParameterError

MAX_BODY_BYTES = 32 * 2**20
"""A conversation that fills a window of a million tokens takes about 5 MB."""


async def json_body(request: Request, limit: int = MAX_BODY_BYTES) -> object:
    """Read and decode the body.

    Raises:
        HTTPException: 413, it is longer than `limit` bytes.
        ParameterError: it is no JSON.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise _too_long(limit)
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > limit:
            raise _too_long(limit)
    try:
        value: object = json.loads(raw)
        if b"\\ud" in raw.lower():
            # Half of a surrogate pair is text to JSON, but no text that can be encoded.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ParameterError(f"The body of the request is no JSON: {reason}.", "body") from error
    return value


def _too_long(limit: int) -> HTTPException:
    # What is left of the body is not read, so the connection cannot be used again.
    return HTTPException(413, f"The body of the request is longer than {limit} bytes.", {"connection": "close"})
