"""Answers the requests that the SDK cannot read: it drops such a line, and the client would wait for ever.

pydantic reads JSON of at most 200 levels. The id of a deeper request is found without reading what is inside it.
"""

import json
import re
from types import TracebackType
from typing import Any, Self, cast

import anyio
from mcp.server.mcpserver import MCPServer
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp_types import INVALID_REQUEST, PARSE_ERROR, ErrorData, JSONRPCError
from pydantic import ValidationError

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]|[^"\[\]{}]+')


class StdioServer(MCPServer[Any]):
    """The SDK's server, which answers every request on stdin."""

    async def run_stdio_async(self) -> None:
        """Serve on stdin and stdout until stdin ends."""
        server = self._lowlevel_server
        async with stdio_server() as (reader, writer):
            await server.run(_Requests(reader, writer), writer, server.create_initialization_options())


class _Requests:
    """The messages of the client; a request that cannot be read is answered here and not passed on."""

    def __init__(self, reader: Any, writer: Any) -> None:
        # The SDK exports the protocols of its two streams from private modules alone.
        self._reader = reader
        self._writer = writer

    @property
    def last_context(self) -> Any:
        """The sender's context of the last message; the SDK looks for it by this name."""
        return self._reader.last_context

    async def receive(self) -> SessionMessage | Exception:
        while True:
            message = cast(SessionMessage | Exception, await self._reader.receive())
            if not isinstance(message, ValidationError) or (error := refusal(message)) is None:
                return message
            await self._writer.send(SessionMessage(error))

    async def aclose(self) -> None:
        await self._reader.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()


def refusal(error: ValidationError) -> JSONRPCError | None:
    """Return the answer to a line that was no message, or None where nobody waits for one."""
    problems = error.errors(include_url=False, include_context=False)
    message: object
    if problems[0]["type"] == "json_invalid":
        message, reason = outline(problems[0]["input"]), problems[0]["msg"].removeprefix("Invalid JSON: ")
        deep = " JSON may be nested 200 levels deep." if reason.startswith("recursion limit") else ""
        code, what = PARSE_ERROR, f"The request cannot be read: {reason}.{deep}"
    else:
        # The message as a whole is the input where a field is missing, as `result` is in each request.
        message = next((problem["input"] for problem in problems if problem["type"] == "missing"), None)
        code, what = INVALID_REQUEST, "The request is no JSON-RPC request: look at its method and params."
    if not isinstance(message, dict) or "method" not in message:
        return None
    request = cast(dict[str, object], message).get("id")
    if isinstance(request, bool) or not isinstance(request, int | str):
        return None
    return JSONRPCError(jsonrpc="2.0", id=request, error=ErrorData(code=code, message=what))


def outline(line: str) -> object:
    """Read a line of JSON whose members' lists and objects are left out; None where it is no JSON."""
    depth, parts = 0, list[str]()
    for part in _TOKEN.findall(line):
        if part in "]}":
            depth -= 1
            parts.append(part if depth == 0 else "")
        elif part in "[{":
            depth += 1
            parts.append(part if depth == 1 else "null" if depth == 2 else "")
        elif depth <= 1:
            parts.append(part)
    try:
        return json.loads("".join(parts))
    except ValueError:
        return None
