"""Reads the `Read(...)` rules that forbid files in the settings of Claude Code, which bind its own tools only.

A server that reads files for the agent would be a way around them. Where it is not certain which folder a rule
belongs to, it counts for each of them.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any, cast

from mcp_local_llm.files.access.globs import has_magic
from mcp_local_llm.files.access.ignore_rules import ignore_rules
from mcp_local_llm.files.access.roots import Roots, without_links
from mcp_local_llm.files.access.secrets import DenyRules
from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.values.errors import FileAccessError

MAX_BYTES = 2**20
MANAGED_SETTINGS = (
    Path("/etc/claude-code/managed-settings.json"),
    Path("/Library/Application Support/ClaudeCode/managed-settings.json"),
)
"""Settings of an organisation, which apply to every user of a machine."""

_RULE = re.compile(r"\s*(\w+)\s*(?:\((.*?)\)?)?\s*", re.DOTALL)
_UP = re.compile(r"(?:^|(?<=/))(?!\.\./|~/)[^/]+/\.\./")


def read_deny_rules(
    roots: Roots, environ: Mapping[str, str], tools: Collection[str] = ("Read",)
) -> tuple[DenyRules, ...]:
    """Read the rules of the projects, the user and the organisation that are about the agent's `tools`.

    Raises:
        FileAccessError: of kind `denied`: a file of settings cannot be read, so what it forbids is not known.
    """
    named = Path(environ.get("CLAUDE_CONFIG_DIR", ""))
    users = [roots.home / ".claude", *([named] if named.is_absolute() else [])]
    files = [root / ".claude" / name for root in roots.folders for name in ("settings.json", "settings.local.json")]
    files += [*(folder / "settings.json" for folder in users), *MANAGED_SETTINGS]
    return tuple(rules for file in files for rules in _rules_of(file, roots, tools))


def _rules_of(file: Path, roots: Roots, tools: Collection[str]) -> Iterator[DenyRules]:
    for pattern in _patterns(file, tools):
        for folder, rule in _placed(pattern, file, roots):
            for braces in (False, True) if "{" in rule else (False,):
                yield DenyRules(folder, ignore_rules([rule], fold=True, braces=braces), str(file))


def _patterns(file: Path, tools: Collection[str]) -> list[str]:
    """Return what the rules of a file forbid; a rule without a pattern forbids everything."""
    try:
        text = read_regular(file, MAX_BYTES).decode("utf-8-sig")
        values: Any = json.loads(text) if text.strip() else {}
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError, RecursionError) as error:
        raise FileAccessError(
            f"{file} cannot be read, so it is not known which files it forbids ({error}). Mend the file.", "denied"
        ) from error
    for key in ("permissions", "deny"):
        values = cast(dict[str, Any], values).get(key) if isinstance(values, dict) else None
    rules = cast(list[object], values) if isinstance(values, list) else [values]
    found = (_RULE.fullmatch(rule) for rule in rules if isinstance(rule, str))
    matches = [match for match in found if match is not None and match[1] in tools]
    return ["//**" if match[2] is None else match[2].strip() for match in matches]


def _placed(pattern: str, file: Path, roots: Roots) -> Iterator[tuple[Path, str]]:
    """Yield the folders that a pattern belongs to, and the pattern below them; one that is only a folder is all of it.

    `//` begins at the root of the file system, `~/` at home, `/` at the folder of the settings (or of the project
    that they are for), or at the root of the file system, as many write it; anything else at the project.
    """
    while (shorter := _UP.sub("", pattern)) != pattern:
        pattern = shorter
    if pattern.startswith("//"):
        folders, rest = [Path("/")], pattern[1:]
    elif pattern.startswith("/"):
        folders, rest = [file.parent, file.parent.parent, *([Path("/")] if pattern.strip("/*.") else [])], pattern
    else:
        below_home = pattern.startswith("~/")
        folders, rest = [roots.home] if below_home else list(roots.folders), pattern[2:] if below_home else pattern
        while rest.startswith("../"):
            folders, rest = [folder.parent for folder in folders], rest[3:]
        rest = f"/{rest}" if below_home else rest
    rest = rest if rest.strip("./") else "/**"
    for folder in folders:
        yield folder, rest
        yield from _without_links(folder, rest)


def _without_links(folder: Path, pattern: str) -> Iterator[tuple[Path, str]]:
    """Yield the same rule below the folder that its literal beginning leads to, where a link is in it."""
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    literal = len(list(takewhile(lambda part: not has_magic(part), parts[:-1]))) if "/" in pattern else 0
    written = folder.joinpath(*parts[:literal])
    if (real := without_links(written)) != written:
        rest = "/".join(parts[literal:])
        # With its slash a pattern stays bound to the folder.
        yield real, f"/{rest}" if "/" in pattern.rstrip("/") else rest
