"""Checks that all files name one version and the changelog a day of it: `python release/version.py 0.2.0`.

With `--changes` it prints that section. It imports nothing of the project, because nothing is installed yet.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def versions() -> Iterator[tuple[str, str]]:
    """Return each file that names the version, and the version that it names."""
    text = (ROOT / "mcp_local_llm" / "__init__.py").read_text(encoding="utf-8")
    yield "mcp_local_llm/__init__.py", re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)[0]
    for name in ("server.json", "plugin/.claude-plugin/plugin.json"):
        yield name, json.loads((ROOT / name).read_text(encoding="utf-8"))["version"]
    for package in json.loads((ROOT / "server.json").read_text(encoding="utf-8"))["packages"]:
        yield "server.json, packages", package["version"]
    yield "CHANGELOG.md", latest()[0]


def latest() -> tuple[str, str, str]:
    """Return the newest section of the changelog: its version, its date or `unreleased`, and its text."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(r"^## \[(.+?)\] - (\S+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        sys.exit("CHANGELOG.md has no section `## [VERSION] - DATE`.")
    version, date, changes = found.groups()
    return version, date, changes.strip() + "\n"


def main(wanted: str, *, changes: bool) -> None:
    """Check, and print the changes where they are asked for; exits with what is wrong."""
    wrong = [f"{name} says {version}, not {wanted}." for name, version in versions() if version != wanted]
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", latest()[1]):
        wrong.append(f"CHANGELOG.md dates {wanted} as {latest()[1]!r}; write the day of the release.")
    if "OWNER" in (ROOT / "server.json").read_text(encoding="utf-8"):
        wrong.append("server.json still names OWNER where the repository's owner belongs.")
    if wrong:
        sys.exit("\n".join(wrong))
    if changes:
        print(latest()[2], end="")


if __name__ == "__main__":
    main(sys.argv[1], changes="--changes" in sys.argv[2:])
