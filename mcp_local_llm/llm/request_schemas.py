"""Checks the JSON Schemas of a request: of the answer, and of each tool's arguments.

Requests of every door are checked here before an engine receives them, because engines fail differently with a broken
schema, and some fail for all requests of a batch.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from types import UnionType
from typing import Any, cast

from mcp_local_llm.values.chat import ChatRequest
from mcp_local_llm.values.errors import InvalidRequestError, shortened

MAX_DEPTH = 100
"""The deepest nesting of objects and lists; JSON and grammar parsers fail at 128."""
MAX_PARTS = 20_000
"""Objects and lists in all schemas of a request: some seconds of the library that checks them."""
MAX_MIXED = 500
"""Items of a list that holds not only texts or only numbers: they are compared with each other, each with each."""
KNOWN = 512
"""Checked schemas to remember: a client sends the same tools with every request."""
MAX_PATTERN = 10_000
"""Characters of a pattern that is read here: one of eight million takes a gigabyte, and Python keeps the last 512."""

_BROKEN = (
    *("bad escape (end", "min repeat", "missing", "multiple repeat", "nothing to repeat"),
    *("unbalanced", "unexpected end", "unterminated"),
)
"""How Python's messages begin for what is no regular expression in any dialect."""


class SchemaCheck:
    """Checks requests against the JSON Schema meta-schema."""

    def __init__(self) -> None:
        # Their digests: a schema may be as long as a request.
        self._sound: set[bytes] = set()

    def check(self, request: ChatRequest) -> None:
        """Refuse a request with an invalid schema; a schema that is not remembered takes milliseconds.

        Raises:
            InvalidRequestError: with the place and the fault.
        """
        schemas = [(tool.parameters, f"the parameters of the tool {tool.name}") for tool in request.callable_tools]
        if request.response_schema is not None:
            schemas.insert(0, (request.response_schema, "response_schema"))
        room = MAX_PARTS
        for schema, name in schemas:
            room -= _parts(schema, name, room)
            self._check(schema, name)

    def _check(self, schema: Mapping[str, Any], name: str) -> None:
        key = hashlib.sha256(json.dumps(schema).encode()).digest()
        if key in self._sound:
            return
        problem = _problem(schema)
        if problem:
            raise InvalidRequestError(f"{name} is no JSON Schema: {problem}.")
        if len(self._sound) >= KNOWN:
            self._sound.clear()
        self._sound.add(key)


def _problem(schema: Mapping[str, Any]) -> str:
    """Return the fault of a schema and its place; empty for a valid schema."""
    # Imported here: the import takes a tenth of a second, and most requests have no schema.
    from jsonschema import Draft202012Validator, FormatChecker, SchemaError
    from jsonschema.validators import validator_for

    formats = FormatChecker(())
    formats.checks("regex")(_may_be_pattern)
    try:
        kind: Any = validator_for(schema, default=Draft202012Validator)
        kind.check_schema(dict(schema), format_checker=formats)
    except SchemaError as error:
        place = shortened("/".join(["#", *(str(part) for part in error.absolute_path)]))
        return f"at {place}, {error.message[:200]}"
    except Exception:
        # The library resolves `$schema` and `$ref` and may raise any exception for a client's values.
        return "its $schema, or a reference in it, cannot be read"
    return ""


def _may_be_pattern(pattern: object) -> bool:
    r"""Whether a pattern may be one of JavaScript, which has `\p{L}`, `(?<name>…)` and `[^]` where Python has not."""
    if len(str(pattern)) > MAX_PATTERN:
        return True
    try:
        re.compile(str(pattern))
    except re.error as error:
        return not error.msg.startswith(_BROKEN) or "[^]" in str(pattern) or "[]" in str(pattern)
    return True


def _parts(schema: Mapping[str, Any], name: str, room: int) -> int:
    """Count the objects and lists of a schema, without recursion, since a deep schema would exhaust the stack.

    Raises:
        InvalidRequestError: they are nested too deep, are more than `room`, or one takes too long to check.
    """
    parts, left = 0, list[tuple[object, int]]([(schema, 1)])
    while left:
        value, depth = left.pop()
        parts += 1
        if depth > MAX_DEPTH:
            raise InvalidRequestError(f"{name}: more than {MAX_DEPTH} objects and lists are nested.")
        if parts > room:
            raise InvalidRequestError(
                f"{name}: the schemas of this request hold more than {MAX_PARTS:,} objects and lists. Shorten them."
            )
        if isinstance(value, Mapping):
            items = list(cast(Mapping[str, object], value).values())
        else:
            items = cast(list[object], value)
            if len(items) > MAX_MIXED and not (_all(items, str) or _all(items, int | float)):
                raise InvalidRequestError(
                    f"{name}: a list in it holds more than {MAX_MIXED} items that are not all texts or all numbers. "
                    "Shorten it."
                )
        left += [(inner, depth + 1) for inner in items if _nests(inner)]
    return parts


def _all(items: list[object], kind: type | UnionType) -> bool:
    return all(isinstance(item, kind) for item in items)


def _nests(value: object) -> bool:
    return isinstance(value, Mapping | list)
