"""Reads stdin in front of the SDK and answers the requests that it would drop, for which a client would wait for ever.

The SDK passes over a line that is no JSON or no JSON-RPC message, and takes a request with an id that it does not know
(1.5, null, true) for a notification.
"""

import fcntl
import os
import re
from collections.abc import Mapping
from typing import Any, Self, TextIO, cast

import anyio.to_thread
from mcp.server.mcpserver import MCPServer
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp_types import INVALID_REQUEST, PARSE_ERROR, ErrorData, JSONRPCError

from mcp_local_llm.wire.json_values import JSON_STRING, as_list, as_object, mended_json, read_json

_TOKEN = re.compile(JSON_STRING + r'|[\[\]{}]|[^"\[\]{}]+', re.DOTALL)
_MEMBER = re.compile(r'[{,]\s*"(id|method|result|error)"\s*:\s*("(?:[^"\\]|\\.)*"|[^\s",{}\[\]]*)')
_BATCH = "messages come one a line, not as a batch"

MAX_LINE = 32 * 2**20
"""The most characters of a line, as of a body over HTTP."""
LONG_LINE = 2**18
"""A longer line is read on a thread: reading one of `MAX_LINE` takes seconds, in which other sessions wait."""
_ENDS = 2**16
"""Characters at both ends of a long line in which its members are looked for."""


class Refusal(JSONRPCError):
    """An answer to a request that was not read; its id is what the client sent, which may be 1.5."""

    id: Any


class StdioServer(MCPServer[Any]):
    """The SDK's server, which answers every request on stdin."""

    async def run_stdio_async(self) -> None:
        """Serve on stdin and stdout until stdin ends."""
        server = self._lowlevel_server
        lines = ClientLines(_take_stdin())
        async with stdio_server(cast(Any, lines)) as (reader, writer):
            # The SDK reads no line before this task waits for the first time.
            lines.writer = writer
            await server.run(reader, writer, server.create_initialization_options())


class ClientLines:
    """The lines of a client that hold a message, for the SDK to iterate over; the others are answered here."""

    def __init__(self, lines: TextIO) -> None:
        self._lines = lines
        self.writer: Any = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        # Abandoned, because nothing wakes the thread: a server that fails must end, not wait for its client.
        while line := await anyio.to_thread.run_sync(read_line, self._lines, abandon_on_cancel=True):
            long = len(line) > LONG_LINE
            read = await anyio.to_thread.run_sync(read_message, line) if long else read_message(line)
            if isinstance(read, str):
                return read
            for refusal in read:
                await self.writer.send(SessionMessage(refusal))
        raise StopAsyncIteration


def read_line(lines: TextIO) -> str:
    """Read a line; of one longer than `MAX_LINE`, only both ends are kept, which still makes it too long."""
    line = lines.readline(MAX_LINE + 1)
    if len(line) <= MAX_LINE or line.endswith("\n"):
        return line
    end = ""
    while not end.endswith("\n") and (more := lines.readline(MAX_LINE)):
        end = (end + more)[-_ENDS:]
    return line + end


def read_message(line: str) -> str | list[Refusal]:
    """Return the JSON of one message, or the answers to what is none: nobody waits for one to a blank line."""
    if len(line) > MAX_LINE + 1:
        reason = f"it is longer than {MAX_LINE:,} characters. Send less text, or name files"
        return [_refusal(INVALID_REQUEST, reason, members(line).get("id"))]
    text = mended_json(line)
    if not text.strip():
        return []
    try:
        value = read_json(text)
    except ValueError as error:
        found = members(text)
        if "method" not in found and ("result" in found or "error" in found):
            return []
        return [_refusal(PARSE_ERROR, str(error), found.get("id"))]
    if isinstance(value, list):
        batch = map(as_object, as_list(cast(object, value)))
        ids = [item["id"] for item in batch if "method" in item and "id" in item]
        return [_refusal(INVALID_REQUEST, _BATCH, ident) for ident in ids or [None]]
    message = as_object(value)
    problem = _problem(message)
    return [_refusal(INVALID_REQUEST, problem, message.get("id"))] if problem else text


def members(text: str) -> Mapping[str, object]:
    """Find the members of a message that is no JSON, without reading what is inside its lists and objects.

    Of a long one both ends are searched: members stand in front of the large one and behind it.
    """
    if len(text) > 2 * _ENDS:
        end = text[-_ENDS:].rstrip().removesuffix("}")
        return {**members(text[:_ENDS]), **members("{" + re.split(r"[\]}]", end)[-1])}
    depth, parts = 0, list[str]()
    for token in _TOKEN.finditer(text):
        part = token[0]
        if part in "]}":
            depth -= 1
        elif part in "[{":
            depth += 1
            parts.append(part if depth == 1 else "")
        elif depth <= 1:
            parts.append(part)
    return {name: _value(raw) for name, raw in _MEMBER.findall("".join(parts))}


def _value(raw: str) -> object:
    try:
        return read_json(raw)
    except ValueError:
        return None


def _problem(message: Mapping[str, object]) -> str:
    """Say why this is no JSON-RPC message; empty where it is one, which answers count as."""
    if "method" not in message:
        return "" if "result" in message or "error" in message else "it has no method"
    method, ident = message["method"], message.get("id")
    if message.get("jsonrpc") != "2.0":
        return 'its jsonrpc is not "2.0"'
    if not isinstance(method, str):
        return "its method is no text"
    if not isinstance(message.get("params"), dict | None):
        return "its params are no object"
    # Some clients give notifications the id null.
    nameless = "id" not in message or (ident is None and method.startswith("notifications/"))
    if not nameless and (isinstance(ident, bool) or not isinstance(ident, int | str)):
        return "its id is neither a whole number nor a text"
    return ""


def _refusal(code: int, reason: str, ident: object) -> Refusal:
    known = isinstance(ident, int | float | str) and not isinstance(ident, bool)
    what = "cannot be read" if code == PARSE_ERROR else "is no JSON-RPC request"
    error = ErrorData(code=code, message=f"The request {what}: {reason}.")
    return Refusal(jsonrpc="2.0", id=ident if known else None, error=error)


def _take_stdin() -> TextIO:
    """Take stdin for this reader alone: libraries and child processes find the null device there, as with the SDK's."""
    wire = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    # Left open at the end: the reader's thread may still wait for a line.
    return os.fdopen(wire, encoding="utf-8", errors="replace", newline="\n", closefd=False)
