"""Reads the `Read(...)` rules that forbid files in the settings of Claude Code, which bind its own tools only.

A server that reads files for the agent would be a way around them. Where it is not certain which folder a rule
belongs to, it counts for each of them.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from mcp_local_llm.files.access.ignore_rules import ignore_rules
from mcp_local_llm.files.access.roots import Roots
from mcp_local_llm.files.access.secrets import DenyRules
from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.values.errors import FileAccessError

MAX_BYTES = 2**20
MANAGED_SETTINGS = (
    Path("/etc/claude-code/managed-settings.json"),
    Path("/Library/Application Support/ClaudeCode/managed-settings.json"),
)
"""Settings of an organisation, which apply to every user of a machine."""

_RULE = re.compile(r"\s*Read\s*(?:\((.*)\))?\s*", re.DOTALL)


def read_deny_rules(roots: Roots, environ: Mapping[str, str]) -> tuple[DenyRules, ...]:
    """Read the rules of the projects, the user and the organisation.

    Raises:
        FileAccessError: of kind `denied`: a file of settings cannot be read, so what it forbids is not known.
    """
    named = Path(environ.get("CLAUDE_CONFIG_DIR", ""))
    users = [roots.home / ".claude", *([named] if named.is_absolute() else [])]
    files = [root / ".claude" / name for root in roots.folders for name in ("settings.json", "settings.local.json")]
    files += [*(folder / "settings.json" for folder in users), *MANAGED_SETTINGS]
    return tuple(rules for file in files for rules in _rules_of(file, roots))


def _rules_of(file: Path, roots: Roots) -> Iterator[DenyRules]:
    for pattern in _patterns(file):
        for folder, rule in _placed(pattern, file, roots):
            yield DenyRules(folder, ignore_rules([rule], fold=True), str(file))


def _patterns(file: Path) -> list[str]:
    """Return what the `Read` rules of a file forbid; a rule without a pattern forbids everything."""
    try:
        values: Any = json.loads(read_regular(file, MAX_BYTES).decode("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError, RecursionError) as error:
        raise FileAccessError(
            f"{file} cannot be read, so it is not known which files it forbids ({error}). Mend the file.", "denied"
        ) from error
    for key in ("permissions", "deny"):
        values = cast(dict[str, Any], values).get(key) if isinstance(values, dict) else None
    rules = cast(list[object], values) if isinstance(values, list) else []
    found = (_RULE.fullmatch(rule) for rule in rules if isinstance(rule, str))
    return ["//**" if match[1] is None else match[1].strip() for match in found if match is not None]


def _placed(pattern: str, file: Path, roots: Roots) -> Iterable[tuple[Path, str]]:
    """Return the folders that a pattern belongs to, and the pattern below them.

    `//` begins at the root of the file system, `~/` at home, `/` at the folder of the settings (or of the project
    that they are for), anything else at the project.
    """
    if pattern.startswith("//"):
        return [(Path("/"), pattern[1:])]
    if pattern.startswith("~/"):
        return [(home, pattern[1:]) for home in _spellings([roots.home])]
    if pattern.startswith("/"):
        return [(folder, pattern) for folder in _spellings([file.parent, file.parent.parent])]
    up = 0
    while pattern.startswith("../", 3 * up):
        up += 1
    return [((folder / "x").parents[min(up, len(folder.parts) - 1)], pattern[3 * up :]) for folder in roots.folders]


def _spellings(folders: Iterable[Path]) -> list[Path]:
    """Return folders as they are written and as they are without links."""
    return list(dict.fromkeys(path for folder in folders for path in (folder, folder.resolve())))
