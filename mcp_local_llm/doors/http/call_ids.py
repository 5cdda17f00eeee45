"""Gives each request over HTTP its id, which the response carries as `x-request-id`, and its line in the log.

An id that the client sends is taken where it has the form of one, so that a client can find its own requests.
"""

import logging
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_local_llm.setup.log import logged_call
from mcp_local_llm.values.call import Call, known_id

HEADER = "x-request-id"
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
"""Methods that the log names; any other word is what the client wrote."""


class CallIds:
    """Makes a call of each request to `app`.

    `paths` are those that the log names; any other path is what the client wrote, so it is not written down.
    """

    def __init__(self, app: ASGIApp, paths: Collection[str]) -> None:
        self._app = app
        self._paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, as a call of its own."""
        path, method = scope["path"].rstrip("/"), scope["method"]
        named = path in self._paths and method in METHODS
        door = f"http {method} {path}" if named else "http, another path or method"
        call = Call(door, known_id(Headers(scope=scope).get(HEADER)))
        call.outcome = "its client disconnected"

        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = call.id
                status = message["status"]
            elif not message.get("more_body", False):
                call.outcome = f"HTTP {status}"
            await send(message)

        # Programs ask for models, health and metrics again and again.
        with logged_call(call, logging.INFO if method == "POST" else logging.DEBUG):
            await self._app(scope, receive, sending)
