"""The pages of docs/: their numbers are the code's, their messages and commands exist, their links lead somewhere."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_local_llm.agents.install.clients import CLIENTS
from release.pictures import FOLDER, draw
from release.screens import SCENES
from release.tables import GUIDE, with_tables
from tests.clients import WAIT_S
from tests.source import PACKAGE, ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
SITE = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]


def test_the_tables_of_the_guide_are_what_the_code_computes() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert with_tables(text) == text, "run `python -m release.tables`"
    assert text.count("<!-- table:") == text.count("<!-- /table -->") >= 5


def test_the_pictures_show_what_the_code_computes(tmp_path: Path) -> None:
    draw(tmp_path)
    for drawn in tmp_path.glob("*.svg"):
        # Coordinates differ between machines in their last digits, and labels do not.
        labels = [re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text()) for path in (drawn, FOLDER / drawn.name)]
        assert labels[0] == labels[1], "run `python -m release.pictures`"


def test_every_picture_is_shown_on_a_page() -> None:
    shown = {
        name for page in PAGES for name in re.findall(r"\]\(pictures/([\w-]+\.svg)\)", page.read_text(encoding="utf-8"))
    }
    assert shown == {path.name for path in FOLDER.glob("*.svg")}
    assert {f"screen-{name}.svg" for name in (*SCENES, "claude-code")} <= shown


def test_every_page_is_in_the_navigation_and_every_entry_is_a_page() -> None:
    listed = [name for entry in SITE["nav"] for name in entry.values()]
    assert sorted(listed) == [page.name for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_pages_and_headings_that_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        name, _, heading = target.partition("#")
        file = (page.parent / name) if name else page
        assert file.exists(), f"{page.name} links to {target}"
        if heading:
            titles = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}
            assert heading in slugs, f"{page.name} links to {target}"


def test_no_page_asks_another_host_for_a_picture() -> None:
    assert [page.name for page in PAGES if re.search(r"!\[[^]]*\]\(https?:|<img|<script", page.read_text())] == []


def messages() -> Iterator[str]:
    """The fragments of messages in the first column of the page on troubleshooting."""
    for line in (DOCS / "troubleshooting.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            for phrase in re.findall(r"`([^`]+)`", line.split("|")[1]):
                yield from (part.strip(" .;,") for part in phrase.split("…") if len(part.strip(" .;,")) > 3)


@pytest.mark.parametrize("words", sorted(set(messages())))
def test_every_message_of_the_troubleshooting_page_is_one_of_ours(words: str) -> None:
    sources = " ".join(
        re.sub(r'"\s*\n\s*f?"', "", path.read_text(encoding="utf-8")) for path in (ROOT / PACKAGE).rglob("*.py")
    )
    assert words in sources


def test_the_page_of_clients_names_every_client_that_install_knows() -> None:
    text = (DOCS / "clients.md").read_text(encoding="utf-8")
    for name in ("claude-code", *(client.name for client in CLIENTS)):
        assert f"| `{name}` |" in text


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The subcommands that --help names."""
    home = tmp_path_factory.mktemp("home")
    command = [sys.executable, "-m", "mcp_local_llm", "--help"]
    done = subprocess.run(
        command, env={"HOME": str(home), "COLUMNS": "200"}, capture_output=True, text=True, timeout=WAIT_S, check=True
    )
    return set(re.findall(r"^  ([a-z][a-z-]*)  ", done.stdout, re.MULTILINE))


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.name)
def test_every_subcommand_that_a_page_names_exists(page: Path, commands: set[str]) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|`|\$ )mcp-local-llm ([a-z][a-z-]*)", text, re.MULTILINE))
    assert named <= commands
