"""`install` for the clients that are here for real: Claude Code and opencode see the server that it wrote down."""

import subprocess
from pathlib import Path

import pytest

from tests.client_programs.claude_program import CLAUDE
from tests.client_programs.test_client_programs import INSTALLED, LONG_WAIT_S

CODEX = INSTALLED / "node" / "node_modules" / "@openai" / "codex-linux-x64"

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(not CLAUDE.exists(), reason="The locked Claude Code is that of Linux on x64."),
]


def run(environ: dict[str, str], *command: str | Path) -> str:
    done = subprocess.run(
        command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LONG_WAIT_S
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_claude_code_says_connected_after_install_and_knows_nothing_after_uninstall(
    claude_environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "bin" / "claude").symlink_to(CLAUDE)
    told = run(claude_environ, "mcp-local-llm", "install", "--client", "claude-code")
    assert "✔ Connected" in told
    assert "local-llm" in run(claude_environ, "claude", "mcp", "list")
    assert "nothing is to be done" in run(claude_environ, "mcp-local-llm", "install", "--client", "claude-code")
    run(claude_environ, "mcp-local-llm", "uninstall", "--client", "claude-code")
    assert "local-llm" not in run(claude_environ, "claude", "mcp", "list")
    assert list((tmp_path / "home" / ".claude" / "commands").glob("*")) == []


def test_codex_lists_the_server_that_install_wrote(claude_environ: dict[str, str]) -> None:
    (codex,) = CODEX.glob("vendor/*/bin/codex")
    run(claude_environ, "mcp-local-llm", "install", "--client", "codex")
    assert "local-llm" in run(claude_environ, codex, "mcp", "list")
    run(claude_environ, "mcp-local-llm", "uninstall", "--client", "codex")
    assert "local-llm" not in run(claude_environ, codex, "mcp", "list")
