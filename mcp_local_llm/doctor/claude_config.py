"""Whether settings of Claude Code name this server. Pure; what else stands in them is not looked at."""

from collections.abc import Mapping
from typing import Any, cast

PROGRAM = "mcp-local-llm"
MODULE = "mcp_local_llm"


def names_this_server(value: object, project: str) -> bool:
    """Look into `.claude.json` or `.mcp.json`: servers for everything, and those of the folder `project`."""
    settings = _object(value)
    own = _object(_object(settings.get("projects")).get(project))
    tables = (_object(settings.get("mcpServers")), _object(own.get("mcpServers")))
    return any(_starts_us(_object(entry)) for table in tables for entry in table.values())


def _starts_us(entry: Mapping[str, Any]) -> bool:
    arguments = entry.get("args")
    words = [entry.get("command"), *(cast(list[object], arguments) if isinstance(arguments, list) else [])]
    return any(PROGRAM in word or MODULE in word for word in words if isinstance(word, str))


def _object(value: object) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], value) if isinstance(value, dict) else {}
