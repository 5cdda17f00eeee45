"""The instruction files that count into an agent's first request."""

from pathlib import Path

import pytest

from mcp_local_llm.agents.instructions import MAX_BYTES, instructions
from mcp_local_llm.values.launch_order import AgentName

FILES = (
    ".claude/CLAUDE.md",
    ".codex/AGENTS.md",
    ".config/opencode/AGENTS.md",
    "CLAUDE.md",
    "AGENTS.md",
    "repo/AGENTS.md",
    "repo/.claude/CLAUDE.md",
    "repo/work/CLAUDE.md",
    "repo/work/CLAUDE.local.md",
    "repo/work/AGENTS.md",
    "repo/work/README.md",
    "repo/work/below/CLAUDE.md",
    "repo/work/below/AGENTS.md",
)


@pytest.fixture
def work(home: Path) -> Path:
    """Files whose text is their name, in a repository below the home folder."""
    for name in FILES:
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (home / "repo" / ".git").mkdir()
    return home / "repo" / "work"


@pytest.mark.parametrize(
    ("agent", "names"),
    [
        (
            "claude",
            {
                ".claude/CLAUDE.md",
                "CLAUDE.md",
                "repo/.claude/CLAUDE.md",
                "repo/work/CLAUDE.md",
                "repo/work/CLAUDE.local.md",
            },
        ),
        ("codex", {".codex/AGENTS.md", "repo/AGENTS.md", "repo/work/AGENTS.md"}),
        ("opencode", {".config/opencode/AGENTS.md", "repo/AGENTS.md", "repo/work/AGENTS.md"}),
    ],
)
def test_the_users_and_the_projects_files_count_each_once(
    work: Path, home: Path, agent: AgentName, names: set[str]
) -> None:
    assert sorted(instructions(agent, {}, home, work).splitlines()) == sorted(names)


def test_outside_a_repository_only_the_folder_itself_counts(home: Path) -> None:
    (home / "work").mkdir()
    (home / "AGENTS.md").write_text("above")
    (home / "work" / "AGENTS.md").write_text("here")
    assert instructions("codex", {}, home, home / "work") == "here"


@pytest.mark.parametrize(
    ("agent", "variable", "name"), [("claude", "CLAUDE_CONFIG_DIR", "CLAUDE.md"), ("codex", "CODEX_HOME", "AGENTS.md")]
)
def test_the_folder_of_the_users_file_may_be_another(home: Path, agent: AgentName, variable: str, name: str) -> None:
    (home / "other").mkdir()
    (home / "other" / name).write_text("other")
    assert instructions(agent, {variable: str(home / "other")}, home, Path("/")) == "other"


def test_what_is_no_file_or_too_long_is_left_out(home: Path) -> None:
    (home / "CLAUDE.md").mkdir()
    with (home / "CLAUDE.local.md").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert instructions("claude", {}, home, home) == ""
