"""The plugin in the real Claude Code, without an account: validated, installed, its command run, its cases loaded."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.client_programs.claude_program import CHAT, OURS, WHERE_IT_RUNS, claude, with_account
from tests.client_programs.scripted_claude import Block, call, results_of, scripted_claude, text, words_of
from tests.source import ROOT

PLACEHOLDER = "DeferredToolPlaceholder"
"""Claude Code's own, for tools that are listed by name only; it does nothing."""

ERRAND = "Which log shows an error?"

pytestmark = WHERE_IT_RUNS


@pytest.mark.parametrize("target", [[ROOT], [ROOT / "plugin"], ["--profile", "directory", ROOT / "plugin"]])
def test_the_plugin_and_the_marketplace_file_are_valid_without_a_warning(
    target: list[str | Path], claude_environ: dict[str, str]
) -> None:
    assert "Validation passed" in claude(claude_environ, "plugin", "validate", "--strict", *target)


def test_the_plugin_is_installed_from_the_checkout_and_its_server_starts(claude_environ: dict[str, str]) -> None:
    claude(claude_environ, "plugin", "marketplace", "add", ROOT)
    claude(claude_environ, "plugin", "install", "local-llm@mcp-local-llm")
    parts = claude(claude_environ, "plugin", "details", "local-llm")
    assert "commit, condense, delegate, delegation, review, switch-model" in parts
    assert "Agents (4)" in parts
    assert "mcp-local-llm  - ✔ Connected" in claude(claude_environ, "mcp", "list")


def test_the_command_brings_its_text_whole_and_grants_the_tool(claude_environ: dict[str, str], tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "notes.txt").write_text("Two cats and a bird sat by the door.\n")
    question = 'how many "legs" do they have? notes.txt'

    def script(request: dict[str, Any]) -> Block:
        if not request.get("tools"):
            return text("A title")
        results = results_of(request)
        arguments = {"message": "How many legs do two cats and a bird have?", "files": ["notes.txt"]}
        return text(f"Done: {results[-1]}") if results else call(CHAT, arguments)

    with scripted_claude(script) as model:
        environ = with_account(claude_environ, model.url)
        words = f"/local-llm:delegate {question}"
        told = claude(environ, "--plugin-dir", ROOT / "plugin", "-p", words, folder=project)
    first = next(request for request in model.requests if request.get("tools"))
    assert f'local-llm` MCP server: "{question}"' in words_of(first["messages"][0]["content"])
    assert told.startswith("Done: ")
    assert "tokens read" in told


@pytest.mark.parametrize(
    ("agent", "tools"),
    [("delegate-reader", {"chat", "list_models", "status"}), ("delegate-writer", {"chat", "draft", "status"})],
)
def test_an_agent_of_the_plugin_has_our_tools_and_no_others(
    agent: str, tools: set[str], claude_environ: dict[str, str]
) -> None:
    task = {"description": "look", "subagent_type": f"local-llm:{agent}", "prompt": ERRAND, "run_in_background": False}

    def script(request: dict[str, Any]) -> Block:
        names: set[str] = {tool["name"] for tool in request.get("tools", [])}
        return call("Agent", task) if "Agent" in names and not results_of(request) else text("Done.")

    with scripted_claude(script) as model:
        environ = with_account(claude_environ, model.url)
        claude(environ, "--plugin-dir", ROOT / "plugin", "-p", "Ask the agent.")
    (request,) = [one for one in model.requests if words_of(one["messages"][0]["content"]).endswith(ERRAND)]
    assert {tool["name"] for tool in request["tools"]} == {PLACEHOLDER, *(OURS + tool for tool in tools)}


def test_the_cases_of_the_evaluation_load_and_run_against_stand_ins(
    claude_environ: dict[str, str], tmp_path: Path
) -> None:
    plugin = shutil.copytree(ROOT / "plugin", tmp_path / "plugin")
    cases = sorted(path.parent.name for path in plugin.glob("evals/*/prompt.md"))

    def script(request: dict[str, Any]) -> Block:
        """Delegate the first case, and answer with what came back."""
        if not request.get("tools") or "Which of the logs" not in json.dumps(request["messages"]):
            return text("PASS")
        results = results_of(request)
        arguments = {"message": "Does it show a failure? Quote the line.", "files": ["logs/*.log"], "each_file": True}
        return text(results[-1]) if results else call(CHAT, arguments)

    with scripted_claude(script) as model:
        environ = with_account(claude_environ, model.url)
        options = ["--trust-plugin", "--no-publish", "--scaffold", "--ablation", "none", "--threshold", "0"]
        several = [
            "--runs",
            "1",
            "--concurrency",
            "2",
            "--model",
            "claude-sonnet-4-5",
            "--output-dir",
            tmp_path / "out",
        ]
        claude(environ, "plugin", "eval", plugin, *options, *several)
    told = json.loads((tmp_path / "out" / "aggregate-result.json").read_text())
    assert [case["name"] for case in told["cases"]] == cases
    runs = {case["name"]: case["arms"]["with"][0] for case in told["cases"]}
    assert {name: run["error"] for name, run in runs.items()} == dict.fromkeys(cases)
    assert not any(run["mocks"]["warnings"] for run in runs.values())
    assert runs["01-triage-logs"]["score"] == 1
    assert runs["01-triage-logs"]["mocks"]["calls"]["total"] == 1
