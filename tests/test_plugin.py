"""The Claude Code plugin and the marketplace file, as far as they can be checked without Claude Code."""

import ast
import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from mcp_local_llm import __version__
from mcp_local_llm.agents.subagents import SUBAGENT_MODEL
from mcp_local_llm.setup.places import split_front_matter
from tests.plugin_files import PLUGIN, repeated
from tests.source import ROOT

MAX_BYTES = 2048
SERVER = "local-llm"
TOOLS = {
    tool["name"]: tool
    for tool in json.loads((PLUGIN / "evals" / "mocks" / SERVER / "_tools.json").read_text(encoding="utf-8"))["tools"]
}
PREFIXES = ("mcp__local-llm__", "mcp__plugin_local-llm_local-llm__")
COMMANDS = sorted((PLUGIN / "commands").glob("*.md"))
AGENTS = sorted((PLUGIN / "agents").glob("delegate-*.md"))
LOCAL_AGENTS = sorted(set((PLUGIN / "agents").glob("*.md")) - set(AGENTS))
SKILL = PLUGIN / "skills" / "delegation" / "SKILL.md"
CASES = sorted(path.parent for path in PLUGIN.glob("evals/*/prompt.md"))


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def front_of(path: Path) -> dict[str, str]:
    return split_front_matter(path.read_text(encoding="utf-8"))[0]


async def test_what_the_plugin_repeats_is_up_to_date() -> None:
    files = await repeated()
    assert {*COMMANDS, *LOCAL_AGENTS} == {path for path in files if path.suffix == ".md"}
    stale = [str(path) for path, text in files.items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run `make plugin`"


def test_the_plugin_has_the_packages_version_and_starts_the_packages_command() -> None:
    manifest = load(PLUGIN / ".claude-plugin" / "plugin.json")
    assert (manifest["name"], manifest["version"]) == (SERVER, __version__)
    ((name, server),) = manifest["mcpServers"].items()
    assert (name, server["command"], server["args"]) == (SERVER, "mcp-local-llm", [])


def test_the_marketplace_file_at_the_top_offers_the_plugin() -> None:
    (plugin,) = load(ROOT / ".claude-plugin" / "marketplace.json")["plugins"]
    assert plugin["name"] == SERVER
    assert (ROOT / plugin["source"]).resolve() == PLUGIN


def test_the_icon_is_what_the_directory_of_plugins_takes() -> None:
    icon = load(PLUGIN / ".claude-plugin" / "plugin.json")["icon"]
    head = (PLUGIN / str(icon)).read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:])
    assert width == height
    assert 512 <= width <= 2048


@pytest.mark.parametrize(
    "path", [*COMMANDS, *AGENTS, *LOCAL_AGENTS, SKILL], ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_a_text_for_the_agent_is_short_and_says_what_it_is_for(path: Path) -> None:
    assert len(path.read_bytes()) <= MAX_BYTES
    assert front_of(path)["description"]


@pytest.mark.parametrize("path", [*COMMANDS, *AGENTS], ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_commands_and_agents_name_tools_of_this_server_and_no_others(path: Path) -> None:
    front = front_of(path)
    names = front["tools" if path in AGENTS else "allowed-tools"].split(", ")
    prefixes = PREFIXES[1:] if path in AGENTS else PREFIXES
    known = {prefix + name for prefix in prefixes for name in TOOLS}
    assert set(names) <= known
    # A command is granted nothing that writes: the user is asked.
    assert path in AGENTS or not any(name.endswith("__draft") for name in names)


def test_the_agents_that_the_local_model_answers_have_few_tools_and_say_where_they_work() -> None:
    fronts = {path.stem: front_of(path) for path in LOCAL_AGENTS}
    assert {name: front["tools"] for name, front in fronts.items()} == {
        "local-reader": "Read, Grep",
        "local-summary": "Read",
    }
    for name, front in fronts.items():
        assert (front["name"], front["model"]) == (name, SUBAGENT_MODEL)
        assert front["description"].startswith(
            "Only in a session started with `mcp-local-llm launch claude --subagents-"
        )


def test_the_skill_has_two_examples_with_arguments_that_the_tools_have() -> None:
    calls = re.findall(r"`((?:chat|draft)\([^`]*\))`", SKILL.read_text(encoding="utf-8"))
    assert len(calls) >= 2
    for written in calls:
        call = ast.parse(written.replace("\n", " ").replace("true", "True"), mode="eval").body
        assert isinstance(call, ast.Call)
        assert isinstance(call.func, ast.Name)
        known = TOOLS[call.func.id]["inputSchema"]["properties"]
        assert {keyword.arg for keyword in call.keywords} <= set(known)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_of_the_evaluation_judges_the_outcome_and_names_real_tools(case: Path) -> None:
    graders = [front_of(path) for path in sorted(case.glob("graders/*.md"))]
    assert {grader["type"] for grader in graders} & {"regex", "llm"}
    tools = [grader["tool"] for grader in graders if grader["type"] == "tool_used"]
    assert tools
    assert set(tools) <= {PREFIXES[1] + name for name in TOOLS}
    assert all((path.parent.name, path.stem in TOOLS) == (SERVER, True) for path in case.glob("mocks/*/*.md"))


def test_the_evaluation_has_cases_that_must_not_delegate() -> None:
    forbidding = [case for case in CASES if (case / "graders" / "does-not-delegate.md").exists()]
    assert len(forbidding) >= 2
    for case in forbidding:
        front = front_of(case / "graders" / "does-not-delegate.md")
        assert (front["min"], front["max"], front["arm"]) == ("0", "0", "both")
    assert len(CASES) - len(forbidding) >= 4
