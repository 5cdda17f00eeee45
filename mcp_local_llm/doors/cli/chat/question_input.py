"""Reads what a question is made of: message, stdin, schema and tools. It must not know who answers.

stdin is read where it can hold something for this command:

    stdin is            without a message           beside a message, or with a template
    a file              it is the message           appended to the message
    a pipe or socket    it is the message           appended, unless no byte comes for STDIN_WAIT_S
    anything else       there is no message         not read (a terminal, /dev/null, closed)

Many programs start others with a pipe that they never write to nor close; waiting for its end would take for ever.
Where stderr is a terminal, a person reads there that the pipe is waited for, and no time runs out.
"""

import codecs
import os
import select
import stat
import sys
from collections.abc import Callable
from json import JSONDecodeError, loads
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import TypeAdapter, ValidationError

from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.values.chat import ToolSpec
from mcp_local_llm.values.errors import InvalidRequestError, shortened
from mcp_local_llm.wire.json_values import mended_json

STDIN_WAIT_S = 10.0
"""Seconds for the first byte of a pipe beside a message, where nobody sees that it is waited for."""
FIRST_WAIT_S = 2.0
"""Seconds after which a wait for a pipe is told."""
MAX_STDIN_BYTES = 16 * 2**20
"""The most bytes of stdin; a million tokens take about 5 MB."""
MAX_JSON_BYTES = 2**20
"""The most bytes of a schema or a list of tools."""
CHUNK_BYTES = 2**16

StdinKind = Literal["file", "pipe", "none"]


def stdin_kind() -> StdinKind:
    """Return what stdin is: a file, a pipe (or socket), or nothing that is read without being asked for."""
    # Without the stream, number 0 may be a file of this process.
    if cast(object, sys.stdin) is None:
        return "none"
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return "none"
    if stat.S_ISREG(mode):
        return "file"
    return "pipe" if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else "none"


def whole_message(
    message: str, *, wanted: bool | None, optional: bool, note: Callable[[str], None], wait_s: float | None
) -> str:
    """Return the message with what was piped into the command; `-` stands for stdin.

    Args:
        message: of the command line; empty for none.
        wanted: True waits for the end of stdin, False does not read it, None decides by what stdin is.
        optional: whether the question is whole without a message, so that nothing has to come from stdin.
        note: receives a sentence where a pipe is waited for, or was not read.
        wait_s: seconds for the first byte of a pipe that need not hold anything; None waits without an end.

    Raises:
        InvalidRequestError: a text is not UTF-8, or too long.
    """
    if message == "-":
        return utf8(_read_stdin(), "stdin")
    own = utf8(os.fsencode(message), "The message")
    kind = stdin_kind()
    if wanted is False or (wanted is None and kind == "none"):
        return own
    if wanted is None and kind == "pipe" and (own.strip() or optional) and not _sends(wait_s, note):
        note(
            f"stdin is a pipe that sent nothing for {wait_s:.0f} s, so it was not read. --stdin waits for its end, "
            "--no-stdin (or `< /dev/null`) saves the wait."
        )
        return own
    piped = utf8(_read_stdin(), "stdin")
    return "\n\n".join(part for part in (own, piped) if part.strip())


def _sends(wait_s: float | None, note: Callable[[str], None]) -> bool:
    """Return whether the pipe sends something, or ends, within the time."""
    first = FIRST_WAIT_S if wait_s is None else min(wait_s, FIRST_WAIT_S)
    if select.select([0], [], [], first)[0]:
        return True
    note("waiting for stdin, which is a pipe; --no-stdin does not read it")
    left = None if wait_s is None else wait_s - first
    return bool(select.select([0], [], [], left)[0])


def utf8(content: bytes, name: str) -> str:
    """Decode a text, with or without a byte order mark.

    Raises:
        InvalidRequestError: it is not UTF-8; the message names the first wrong byte and its place.
    """
    body = content.removeprefix(codecs.BOM_UTF8)
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        place = error.start + len(content) - len(body)
        raise InvalidRequestError(
            f"{name} is not UTF-8: byte 0x{content[place]:02x} at offset {place}. "
            "Convert it first, for example with `iconv -f latin1 -t utf-8`."
        ) from error


def read_schema(path: Path) -> dict[str, Any]:
    """Read the JSON Schema of an answer.

    Raises:
        InvalidRequestError: the file cannot be read, or holds no JSON object.
    """
    value = _read_json(path, "--schema")
    if not isinstance(value, dict):
        raise InvalidRequestError(f"--schema: {path} holds no JSON object. A JSON Schema is an object.")
    return cast(dict[str, Any], value)


def read_tools(path: Path) -> tuple[ToolSpec, ...]:
    """Read tools in the format of OpenAI's API or of MCP: a list, or an object with a list under `tools`.

    Raises:
        InvalidRequestError: the file cannot be read, or holds no tools.
    """
    value = _read_json(path, "--tools")
    if isinstance(value, dict):
        value = cast(dict[str, Any], value).get("tools", value)
    try:
        tools = TypeAdapter(tuple[ToolSpec, ...]).validate_python(value)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise InvalidRequestError(f"--tools: {path}: {where or 'the list'}: {problem['msg']}.") from error
    if not tools:
        raise InvalidRequestError(f"--tools: {path} names no tool.")
    return tools


def _read_json(path: Path, option: str) -> object:
    try:
        text = utf8(read_regular(path, MAX_JSON_BYTES), f"{option}: {path}")
    except OSError as error:
        raise InvalidRequestError(f"{option}: {path} cannot be read: {error.strerror}.") from error
    try:
        return cast(object, loads(mended_json(text)))
    except JSONDecodeError as error:
        raise InvalidRequestError(
            f"{option}: {path} is not JSON: {error.msg} in line {error.lineno}, column {error.colno}."
        ) from error
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"{option}: {path} is not JSON: {shortened(str(error))}.") from error


def _read_stdin() -> bytes:
    """Read stdin to its end.

    Raises:
        InvalidRequestError: it cannot be read, or is longer than `MAX_STDIN_BYTES`.
    """
    content = bytearray()
    try:
        while chunk := os.read(0, CHUNK_BYTES):
            content += chunk
            if len(content) > MAX_STDIN_BYTES:
                raise InvalidRequestError(
                    f"stdin is longer than {MAX_STDIN_BYTES // 2**20} MiB. Save it, and ask with `-f FILE --split`."
                )
    except OSError as error:
        raise InvalidRequestError(f"stdin cannot be read: {error.strerror}.") from error
    return bytes(content)
