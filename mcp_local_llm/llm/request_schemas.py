"""Whether the JSON Schemas of a request are schemas: of the answer, and of each tool's arguments. Pure.

Every door's requests pass here before an engine sees them: MLX, a server that we start and an endpoint would each fail
in another way, some of them with the answers of others.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

from mcp_local_llm.values.chat import ChatRequest
from mcp_local_llm.values.errors import InvalidRequestError

MAX_DEPTH = 100
"""Objects and lists inside each other; parsers of JSON and of grammars give up at 128."""
KNOWN = 512
"""Schemas that were checked and are remembered: an agent sends the same tools with every request."""


class SchemaCheck:
    """Checks requests against the JSON Schema meta-schema."""

    def __init__(self) -> None:
        self._sound: set[str] = set()

    def check(self, request: ChatRequest) -> None:
        """Refuse a request with a schema that is none; takes milliseconds for a schema that was not seen before.

        Raises:
            InvalidRequestError: names the place and what is wrong there.
        """
        if request.response_schema is not None:
            self._check(request.response_schema, "response_schema")
        for tool in request.tools:
            self._check(tool.parameters, f"the parameters of the tool {tool.name}")

    def _check(self, schema: Mapping[str, Any], name: str) -> None:
        if _too_deep(schema):
            raise InvalidRequestError(f"{name}: more than {MAX_DEPTH} objects and lists lie inside each other.")
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
    """Say what is wrong with a schema and where; empty where nothing is."""
    # Imported here: it takes a tenth of a second, and most requests hold no schema.
    from jsonschema import Draft202012Validator, SchemaError
    from jsonschema.validators import validator_for

    try:
        validator_for(schema, default=Draft202012Validator).check_schema(dict(schema))
    except SchemaError as error:
        place = "/".join(["#", *(str(part) for part in error.absolute_path)])
        return f"at {place}, {error.message[:200]}"
    except Exception as error:
        # The library looks up what a schema names (`$schema`, `$ref`) and may raise anything for a stranger's words.
        return f"{error} ({type(error).__name__})"[:200]
    return ""


def _too_deep(schema: Mapping[str, Any]) -> bool:
    """Measure without recursion: the stack is what a deep schema would exhaust."""
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
