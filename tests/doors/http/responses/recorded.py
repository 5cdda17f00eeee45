"""Requests recorded from Codex 0.171 and opencode 1.18.33: their shapes, with stand-ins for the prose.

Each long text was cut, with its length behind it; lists of tools that several requests share stand in the file once.
"""

import json
from pathlib import Path

from tests.doors.http.door import Json

_FILE: Json = json.loads((Path(__file__).parent / "requests.json").read_text())

REQUESTS: dict[str, Json] = {
    name: {**body, "tools": _FILE["tools"][body["tools"]]} for name, body in _FILE["requests"].items()
}
"""The bodies by name."""
