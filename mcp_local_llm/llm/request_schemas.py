"""Checks the JSON Schemas of a request: of the answer, and of each tool's arguments.

Requests of every door are checked here before an engine receives them, because engines fail differently with a broken
schema, and some fail for all requests of a batch.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

from mcp_local_llm.values.chat import ChatRequest
from mcp_local_llm.values.errors import InvalidRequestError, shortened

MAX_DEPTH = 100
"""The deepest nesting of objects and lists; JSON and grammar parsers fail at 128."""
KNOWN = 512
"""Checked schemas to remember: a client sends the same tools with every request."""


class SchemaCheck:
    """Checks requests against the JSON Schema meta-schema."""

    def __init__(self) -> None:
        self._sound: set[str] = set()

    def check(self, request: ChatRequest) -> None:
        """Refuse a request with an invalid schema; a schema that is not remembered takes milliseconds.

        Raises:
            InvalidRequestError: with the place and the fault.
        """
        if request.response_schema is not None:
            self._check(request.response_schema, "response_schema")
        for tool in request.callable_tools:
            self._check(tool.parameters, f"the parameters of the tool {tool.name}")

    def _check(self, schema: Mapping[str, Any], name: str) -> None:
        if _too_deep(schema):
            raise InvalidRequestError(f"{name}: more than {MAX_DEPTH} objects and lists are nested.")
        key = json.dumps(schema)
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
    from jsonschema import Draft202012Validator, SchemaError
    from jsonschema.validators import validator_for

    try:
        validator_for(schema, default=Draft202012Validator).check_schema(dict(schema))
    except SchemaError as error:
        place = shortened("/".join(["#", *(str(part) for part in error.absolute_path)]))
        return f"at {place}, {error.message[:200]}"
    except Exception:
        # The library resolves `$schema` and `$ref` and may raise any exception for a client's values.
        return "its $schema, or a reference in it, cannot be read"
    return ""


def _too_deep(schema: Mapping[str, Any]) -> bool:
    """Measure the nesting without recursion, since a deep schema would exhaust the stack."""
    left: list[tuple[object, int]] = [(schema, 1)]
    while left:
        value, depth = left.pop()
        if depth > MAX_DEPTH:
            return True
        if isinstance(value, Mapping):
            left += [(inner, depth + 1) for inner in cast(Mapping[str, object], value).values() if _nests(inner)]
        elif isinstance(value, list):
            left += [(inner, depth + 1) for inner in cast(list[object], value) if _nests(inner)]
    return False


def _nests(value: object) -> bool:
    return isinstance(value, Mapping | list)
