"""`launch claude --subagents-local` with the real Claude Code: the main conversation elsewhere, subagents here.

A scripted server stands for Anthropic's: a real login cannot be used in a test.
"""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.client_programs.claude_program import CLAUDE, claude
from tests.client_programs.reading_model import FOUND, READ
from tests.client_programs.scripted_claude import Block, call, results_of, scripted_claude, text
from tests.client_programs.test_client_programs import LONG_WAIT_S
from tests.client_programs.test_launch import COMMAND, ELSEWHERE, place_model
from tests.clients import private_environ
from tests.source import ROOT

OWN_AGENT = "---\nname: my-own\ndescription: Reads.\nmodel: local-llm\ntools: Read\n---\nRead what you are told to.\n"

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(not CLAUDE.exists(), reason="The locked Claude Code is that of Linux on x64."),
]


@pytest.fixture
def claude_environ(home: Path, work: Path) -> dict[str, str]:
    """A home with Claude Code on the PATH, a reciting model, an agent file, and nothing of other machines in reach."""
    place_model(home, "claude", work / "notes.txt")
    agents = home / ".claude" / "agents"
    agents.mkdir(parents=True)
    (agents / "my-own.md").write_text(OWN_AGENT)
    closed = {"HTTPS_PROXY": ELSEWHERE, "HTTP_PROXY": ELSEWHERE, "NO_PROXY": ""}
    path = os.pathsep.join([str(CLAUDE.parent), "/usr/bin", "/bin"])
    own = {"PATH": path, "PYTHONPATH": str(ROOT), "MCP_LOCAL_LLM_FOLDERS": str(home / "models")}
    quiet = dict.fromkeys(("DISABLE_AUTOUPDATER", "DISABLE_TELEMETRY"), "1")
    return {**private_environ(home), **closed, **own, **quiet, "ANTHROPIC_API_KEY": "the-users-own-key"}


def task(agent: str) -> dict[str, Any]:
    """The arguments of a call that gives an agent work, and waits for it."""
    return {"description": "look", "subagent_type": agent, "prompt": READ, "run_in_background": False}


def launched(environ: dict[str, str], folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "claude", "--subagents-local", "--model", "reciting", "--", *options, "-p", "Ask the agent."],
        env=environ,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONG_WAIT_S,
    )


@pytest.mark.parametrize(("agent", "configured"), [("local-reader", "environment"), ("my-own", "settings")])
def test_the_main_conversation_goes_to_the_users_api_and_the_subagents_requests_stay_here(
    agent: str, configured: str, claude_environ: dict[str, str], home: Path, work: Path
) -> None:
    def script(request: dict[str, Any]) -> Block:
        results = results_of(request)
        return text(f"Main heard: {results[-1]}") if results else call("Agent", task(agent))

    with scripted_claude(script) as api:
        settings = home / ".claude" / "settings.json"
        environ = claude_environ
        if configured == "environment":
            environ = {**environ, "ANTHROPIC_BASE_URL": api.url}
        else:
            settings.write_text(json.dumps({"env": {"ANTHROPIC_BASE_URL": api.url}, "theme": "dark"}))
        before = settings.read_text() if settings.exists() else None
        done = launched(environ, work)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Main heard: " in done.stdout
    assert FOUND in done.stdout
    assert {request["model"] for request in api.requests} == {"claude-opus-5-5"}
    assert len(api.requests) == 2
    assert f"all others go to {api.url} unchanged" in done.stderr
    assert (settings.read_text() if settings.exists() else None) == before


@pytest.mark.parametrize("way", ["installed", "folder"])
def test_the_plugins_agents_are_offered_once_and_answered_here(
    way: str, claude_environ: dict[str, str], work: Path
) -> None:
    options = ["--plugin-dir", str(ROOT / "plugin")] if way == "folder" else []
    if way == "installed":
        claude(claude_environ, "plugin", "marketplace", "add", ROOT)
        claude(claude_environ, "plugin", "install", "local-llm@mcp-local-llm")

    def script(request: dict[str, Any]) -> Block:
        results = results_of(request)
        return text(f"Main heard: {results[-1]}") if results else call("Agent", task("local-llm:local-reader"))

    with scripted_claude(script) as api:
        done = launched({**claude_environ, "ANTHROPIC_BASE_URL": api.url}, work, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert FOUND in done.stdout
    offered = re.findall(r"- ((?:[\w-]+:)?local-(?:reader|summary)):", json.dumps(api.requests[0]))
    assert offered == ["local-llm:local-reader", "local-llm:local-summary"]


def test_a_local_model_that_was_killed_is_an_error_that_the_main_conversation_hears_and_survives(
    claude_environ: dict[str, str], work: Path
) -> None:
    killed = list[int]()

    def script(request: dict[str, Any]) -> Block:
        results = results_of(request)
        if results:
            return text(f"Main heard: {results[-1]}")
        for process in psutil.process_iter(["cmdline"]):
            if (
                "--until-stdin-ends" in (process.info["cmdline"] or [])
                and process.environ()["HOME"] == claude_environ["HOME"]
            ):
                process.kill()
                killed.append(process.pid)
        return call("Agent", task("local-reader"))

    with scripted_claude(script) as api:
        done = launched({**claude_environ, "ANTHROPIC_BASE_URL": api.url}, work)
    assert len(killed) == 1
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The local model local-llm gave no answer" in done.stdout
    assert "the local model was gone before Claude Code ended" in done.stderr
