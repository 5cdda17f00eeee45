"""Requests recorded from Claude Code 2.1.329 and opencode 1.18.33: their shapes, with stand-ins for the prose.

Each text was cut to 100 characters, and what occurs several times in the file stands in it once.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any, cast

Json = dict[str, Any]


@cache
def _file() -> Json:
    return json.loads((Path(__file__).parent / "requests.json").read_text())


def names() -> list[str]:
    """The names of all requests."""
    return list(_file()["requests"])


def recorded(name: str) -> Json:
    """One request: path, headers and body."""
    return cast(Json, _whole(_file()["requests"][name]))


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        fields = cast(Json, value)
        shared = fields.get("$shared")
        return _whole(_file()["shared"][shared]) if shared else {key: _whole(inner) for key, inner in fields.items()}
    return [_whole(inner) for inner in cast(list[Any], value)] if isinstance(value, list) else value
