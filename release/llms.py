"""Writes `llms.txt`, the list of pages for agents that read the site: `python -m release.llms FOLDER`.

Source of the form: https://llmstxt.org.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def llms_text() -> str:
    """Return the list: each page of the navigation with its first sentence."""
    site = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
    lines = [f"# {site['site_name']}", "", f"> {site['site_description']}", "", "## Pages", ""]
    for entry in site["nav"]:
        ((title, name),) = entry.items()
        lines.append(f"- [{title}]({name}): {_first_sentence(name)}")
    return "\n".join(lines) + "\n"


def _first_sentence(name: str) -> str:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    paragraphs = (
        part for part in text.split("\n\n") if part[:1].isalnum() or (part.startswith("`") and part[:3] != "```")
    )
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)|[*`]", r"\1", " ".join(next(paragraphs, "").split()))
    return plain.partition(". ")[0].rstrip(".") + "."


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "llms.txt").write_text(llms_text(), encoding="utf-8")
    # The pages themselves, which an agent reads more easily than HTML.
    for page in (ROOT / "docs").glob("*.md"):
        (folder / page.name).write_bytes(page.read_bytes())
