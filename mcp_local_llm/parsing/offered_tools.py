"""The tools that a request offers: their names, and the types of their parameters (R22, R24).

It reads types from JSON Schema. It must not know markup.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from mcp_local_llm.parsing.lenient_json import read_value
from mcp_local_llm.parsing.parsed import PayloadError

_INTEGER = re.compile(r"[+-]?[0-9]+(?:\.0*)?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_BOOLEANS = {"true": True, "false": False}
# CPython refuses to turn longer digit strings into integers.
_MAX_DIGITS = 4000
# A schema that refers to itself ends here.
_MAX_SCHEMA_DEPTH = 8


@dataclass(frozen=True)
class OfferedTools:
    """The offered tools: name → JSON Schema of the parameters. Empty means that no tools were offered (R13)."""

    schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    offered: bool = False

    def knows(self, name: str) -> bool:
        """Say whether a tool of this name was offered."""
        return name in self.schemas

    def declares(self, name: str, parameter: str) -> bool:
        """Say whether the tool's schema names this parameter."""
        return parameter in _mapping(self.schemas.get(name, {}).get("properties"))

    def typed(self, name: str, parameter: str, raw: str, kind: str | None = None) -> Any:
        """Return an XML value in the type that the schema declares (R24).

        A value that does not fit its type and a value of an unknown parameter stay strings.

        Args:
            name: the tool.
            parameter: its parameter.
            raw: the value as it was written.
            kind: the type that the model itself wrote beside the value.
        """
        root = self.schemas.get(name, {})
        declared = _types(_mapping(root.get("properties")).get(parameter), root, 0)
        return _typed(raw, declared or frozenset((kind,) if kind else ()))

    def structured(self, name: str, parameter: str, value: Any) -> Any:
        """Type the strings inside a value whose lists and objects were elements (MiniMax M3)."""
        root = self.schemas.get(name, {})
        return _structured(value, _mapping(root.get("properties")).get(parameter), root, 0)


def _typed(raw: str, declared: frozenset[str]) -> Any:
    if "null" in declared and raw.strip() == "null":
        return None
    if not declared or "string" in declared:
        return raw
    for kind in ("integer", "number", "boolean", "object", "array"):
        if kind in declared and (value := _convert(raw.strip(), kind)) is not None:
            return value
    return raw


def _structured(value: Any, schema: object, root: Mapping[str, Any], depth: int) -> Any:
    """Type a value by its schema; inside a container that declares no types, numbers and literals are JSON's."""
    if isinstance(value, str):
        declared = _types(schema, root, 0)
        if not value.strip() and len(declared & {"array", "object"}) == 1:
            return [] if "array" in declared else {}
        undeclared = depth > 0 and not declared
        return _typed(value, frozenset(("null", "integer", "number", "boolean")) if undeclared else declared)
    if isinstance(value, list):
        items = _declared(schema, "items", root, 0)
        return [_structured(item, items, root, depth + 1) for item in cast(list[Any], value)]
    properties = _mapping(_declared(schema, "properties", root, 0))
    return {key: _structured(item, properties.get(key), root, depth + 1) for key, item in value.items()}


def _declared(schema: object, keyword: str, root: Mapping[str, Any], depth: int) -> object:
    """Find what a schema says of its items or properties, through unions and local references."""
    spec = _mapping(schema)
    if keyword in spec or depth > _MAX_SCHEMA_DEPTH:
        return spec.get(keyword)
    branches = [
        option for union in ("anyOf", "oneOf", "allOf") for option in cast(Sequence[object], spec.get(union, ()))
    ]
    if isinstance(reference := spec.get("$ref"), str):
        branches.append(_resolve(reference, root))
    found = (_declared(branch, keyword, root, depth + 1) for branch in branches)
    return next((declared for declared in found if declared), None)


def read_tools(tools: Sequence[Mapping[str, Any]] | None) -> OfferedTools:
    """Read an OpenAI tool list; entries that are not tools are skipped."""
    schemas: dict[str, Mapping[str, Any]] = {}
    for tool in tools or ():
        spec = _mapping(tool)
        spec = _mapping(spec.get("function")) or spec
        name = spec.get("name")
        if isinstance(name, str) and name:
            schemas[name] = _mapping(spec.get("parameters") or spec.get("inputSchema") or spec.get("input_schema"))
    return OfferedTools(schemas, offered=bool(tools))


def _mapping(value: object) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}


def _types(schema: object, root: Mapping[str, Any], depth: int) -> frozenset[str]:
    """Collect the JSON types that a property may have, through unions and local references."""
    spec = _mapping(schema)
    if depth > _MAX_SCHEMA_DEPTH or not spec:
        return frozenset()
    declared = spec.get("type")
    if isinstance(declared, str):
        return frozenset((declared,))
    if isinstance(declared, Sequence):
        return frozenset(kind for kind in cast(Sequence[object], declared) if isinstance(kind, str))
    found: set[str] = set()
    for union in ("anyOf", "oneOf", "allOf"):
        options = spec.get(union)
        if isinstance(options, Sequence):
            for option in cast(Sequence[object], options):
                found |= _types(option, root, depth + 1)
    reference = spec.get("$ref")
    if isinstance(reference, str):
        found |= _types(_resolve(reference, root), root, depth + 1)
    return frozenset(found) or _implied(spec)


def _resolve(reference: str, root: Mapping[str, Any]) -> object:
    target: object = root
    for part in reference.removeprefix("#/").split("/"):
        target = _mapping(target).get(part)
    return target


def _implied(spec: Mapping[str, Any]) -> frozenset[str]:
    """Derive the type from the other keywords of the schema."""
    if "properties" in spec:
        return frozenset(("object",))
    if "items" in spec:
        return frozenset(("array",))
    if isinstance(spec.get("enum"), Sequence):
        kinds = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
        return frozenset(kinds[type(value)] for value in spec["enum"] if type(value) in kinds)
    return frozenset()


def _convert(raw: str, kind: str) -> Any:
    """Return the value in the given type, or None where it does not fit."""
    if len(raw) > _MAX_DIGITS and kind in ("integer", "number"):
        return None
    match kind:
        case "integer":
            return int(raw.partition(".")[0]) if _INTEGER.fullmatch(raw) else None
        case "number":
            return _number(raw) if _NUMBER.fullmatch(raw) else None
        case "boolean":
            return _BOOLEANS.get(raw.lower())
        case _:
            return _container(raw, dict if kind == "object" else list)


def _number(raw: str) -> int | float | None:
    if raw.lstrip("+-").isdigit():
        return int(raw)
    value = float(raw)
    return value if abs(value) != float("inf") else None


def _container(raw: str, kind: type) -> Any:
    try:
        value, end = read_value(raw, 0)
    except PayloadError:
        return None
    return value if end == len(raw) and isinstance(value, kind) else None
