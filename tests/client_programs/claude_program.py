"""The real Claude Code as tests start it: in a home of its own, with nothing but a scripted model to talk to."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.client_programs.test_client_programs import INSTALLED, LONG_WAIT_S
from tests.clients import private_environ
from tests.source import ROOT

CLAUDE = INSTALLED / "node" / "node_modules" / "@anthropic-ai" / "claude-code-linux-x64" / "claude"
OURS = "mcp__plugin_local-llm_local-llm__"
CHAT = f"{OURS}chat"

WHERE_IT_RUNS = [
    pytest.mark.clients,
    pytest.mark.skipif(not CLAUDE.exists(), reason="The locked Claude Code is that of Linux on x64."),
]


def closed_environ(tmp_path: Path) -> dict[str, str]:
    """An empty home; whatever is not on this machine cannot be reached."""
    home = tmp_path / "home"
    home.mkdir()
    environ = private_environ(home)
    closed = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
    quiet = dict.fromkeys(("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_AUTOUPDATER", "DISABLE_TELEMETRY"), "1")
    return {**environ, **closed, **quiet, "PATH": f"{command_folder(tmp_path)}:/usr/bin:/bin"}


def command_folder(tmp_path: Path) -> Path:
    """A folder whose `mcp-local-llm` runs this checkout."""
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "mcp-local-llm"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m mcp_local_llm "$@"\n')
    command.chmod(0o755)
    return folder


def claude(environ: dict[str, str], *arguments: str | Path, folder: Path | None = None) -> str:
    done = subprocess.run(
        [CLAUDE, *arguments],
        env=environ,
        cwd=folder or environ["HOME"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONG_WAIT_S,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def with_account(environ: dict[str, str], url: str) -> dict[str, str]:
    # A script answers before servers are connected, so the first request has to wait for them.
    # Five seconds, as usual, are short for a busy machine.
    waiting = {"MCP_CONNECTION_NONBLOCKING": "0", "MCP_CONNECT_TIMEOUT_MS": "60000"}
    return {**environ, **waiting, "ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "none"}
