"""The MCP servers that the user has configured, read from each agent's own files."""

import json
from pathlib import Path

import pytest

from mcp_local_llm.agents.install.json_text import read_value
from mcp_local_llm.agents.order import UserServers
from mcp_local_llm.agents.user_servers import user_servers
from mcp_local_llm.values.launch_order import AgentName

GITHUB = {"command": "gh-mcp", "env": {"TOKEN": "t"}}
OURS = {"command": "mcp-local-llm"}


def read(agent: AgentName, home: Path, files: dict[str, str], environ: dict[str, str] | None = None) -> UserServers:
    """Write files below the home folder, and read the servers from its folder `work`."""
    (home / "work").mkdir()
    for name, text in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return user_servers(agent, environ or {}, home, home / "work")


@pytest.mark.parametrize(
    "entry",
    [
        {"command": "mcp-local-llm"},
        {"command": "/opt/venv/bin/mcp-local-llm", "args": []},
        {"command": "uvx", "args": ["mcp-local-llm"]},
        {"command": "python", "args": ["-m", "mcp_local_llm", "-v"]},
        {"command": "sh", "args": ["-c", "exec mcp-local-llm"]},
    ],
)
def test_this_program_is_recognised_however_it_is_started(home: Path, entry: object) -> None:
    settings = json.dumps({"mcpServers": {"any": entry, "github": GITHUB}})
    assert read("claude", home, {".claude.json": settings}) == UserServers(("any",), {"github": GITHUB})


def test_claude_code_s_user_and_folder_scopes_count_and_other_folders_do_not(home: Path) -> None:
    projects = {str(home / "work"): {"mcpServers": {"here": GITHUB}}, "/elsewhere": {"mcpServers": {"there": GITHUB}}}
    settings = json.dumps({"mcpServers": {"everywhere": GITHUB, "local-llm": OURS}, "projects": projects})
    found = read("claude", home, {".claude.json": settings})
    assert (found.own, set(found.others)) == (("local-llm",), {"everywhere", "here"})


def test_claude_code_s_configuration_folder_may_be_another(home: Path) -> None:
    files = {"other/.claude.json": json.dumps({"mcpServers": {"github": GITHUB}}), ".claude.json": "{}"}
    assert set(read("claude", home, files, {"CLAUDE_CONFIG_DIR": str(home / "other")}).others) == {"github"}


@pytest.mark.parametrize(
    ("approval", "taken", "unapproved"),
    [
        ({}, set[str](), ("a", "b")),
        ({"enabledMcpjsonServers": ["a"]}, {"a"}, ("b",)),
        ({"enableAllProjectMcpServers": True}, {"a", "b"}, ()),
        ({"enableAllProjectMcpServers": True, "disabledMcpjsonServers": ["b"]}, {"a"}, ("b",)),
    ],
)
@pytest.mark.parametrize("place", ["project", ".claude/settings.json", "work/.claude/settings.local.json"])
def test_servers_of_a_project_count_only_where_the_user_has_approved_them(
    home: Path, place: str, approval: dict[str, object], taken: set[str], unapproved: tuple[str, ...]
) -> None:
    files = {"work/.mcp.json": json.dumps({"mcpServers": {"a": GITHUB, "b": GITHUB}})}
    if place == "project":
        files[".claude.json"] = json.dumps({"projects": {str(home / "work"): approval}})
    else:
        files[place] = json.dumps(approval)
    found = read("claude", home, files)
    assert (set(found.others), found.unapproved) == (taken, unapproved)


def test_codex_s_servers_are_those_of_its_configuration(home: Path) -> None:
    text = '[mcp_servers.local-llm]\ncommand = "mcp-local-llm"\n[mcp_servers.github]\ncommand = "gh-mcp"\n'
    expected = UserServers(("local-llm",), {"github": {"command": "gh-mcp"}})
    assert read("codex", home, {".codex/config.toml": text}) == expected


def test_codex_s_home_may_be_another(home: Path) -> None:
    files = {"other/config.toml": '[mcp_servers.github]\ncommand = "gh-mcp"\n'}
    assert set(read("codex", home, files, {"CODEX_HOME": str(home / "other")}).others) == {"github"}


@pytest.mark.parametrize(
    "place",
    [
        ".config/opencode/opencode.json",
        ".config/opencode/opencode.jsonc",
        "work/opencode.json",
        "opencode.jsonc",
        "work/.opencode/opencode.json",
    ],
)
def test_opencode_s_servers_are_those_of_its_files_comments_and_all(home: Path, place: str) -> None:
    text = """{ // mine
      "mcp": { /* both */ "llm": {"type": "local", "command": ["uvx", "mcp-local-llm"]},
        "github": {"type": "remote", "url": "https://github.example/mcp"}, }, }"""
    found = read("opencode", home, {place: text})
    assert (found.own, set(found.others)) == (("llm",), {"github"})


@pytest.mark.parametrize("agent", ["claude", "codex", "opencode"])
@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '{"mcpServers": 3, "mcp": [], "projects": ""}', "\x00"])
def test_a_broken_file_counts_as_empty(home: Path, agent: AgentName, text: str) -> None:
    names = (".claude.json", ".codex/config.toml", ".config/opencode/opencode.json", "work/.mcp.json")
    assert read(agent, home, dict.fromkeys(names, text)) == UserServers()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ('{"a": "// no comment /* none */"}', {"a": "// no comment /* none */"}),
        ('{"a": 1, // one\n "b": [1, 2, /* two */ ], }', {"a": 1, "b": [1, 2]}),
        ('{"a": "\\"//", "b": ",}"}', {"a": '"//', "b": ",}"}),
        ("// only\n[]", []),
        ('{"a": 1} // end', {"a": 1}),
    ],
)
def test_json_with_comments_and_last_commas_is_read(text: str, value: object) -> None:
    assert read_value(text) == value
