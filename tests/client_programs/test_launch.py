"""`launch` with the real agents: a plain answer and a file read, on the command line and on Claude Code's screen.

The home folder has configuration files that would send each agent elsewhere; they are obeyed by none, and stay.
"""

import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest

from mcp_local_llm.agents.forms import FORMS, SAMPLE_TOKENS
from mcp_local_llm.values.launch_order import AgentName
from tests.client_programs.claude_program import CLAUDE
from tests.client_programs.reading_model import ANSWER, FOUND, PLAIN, READ, write_reading_model
from tests.client_programs.test_client_programs import INSTALLED, LONG_WAIT_S
from tests.client_programs.test_opencode import OPENCODE
from tests.clients import private_environ
from tests.source import ROOT

CODEX = (
    INSTALLED / "node" / "node_modules" / "@openai" / "codex-linux-x64" / "vendor" / "x86_64-unknown-linux-musl"
) / "bin/codex"
PROGRAMS: dict[AgentName, Path] = {"claude": CLAUDE, "codex": CODEX, "opencode": OPENCODE}
WORDS: dict[AgentName, tuple[str, ...]] = {
    "claude": ("-p",),
    "codex": ("exec", "--skip-git-repo-check"),
    "opencode": ("run",),
}
ELSEWHERE = "http://127.0.0.1:9"
COMMAND = (sys.executable, "-m", "mcp_local_llm", "launch")
SCREEN_CODES = re.compile(rb"\x1b\[[0-9;?<>=]*[a-zA-Z]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\x1b[()][A-Z0-9]|\x1b[=>]|\s")

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(not all(map(Path.exists, PROGRAMS.values())), reason="The agents are those of Linux on x64."),
]


@pytest.fixture
def agent_environ(home: Path) -> dict[str, str]:
    """A home with the agents on the PATH and nothing of other machines in reach."""
    closed = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), ELSEWHERE)
    path = os.pathsep.join([*(str(program.parent) for program in PROGRAMS.values()), "/usr/bin", "/bin"])
    own = {"PATH": path, "PYTHONPATH": str(ROOT), "MCP_LOCAL_LLM_FOLDERS": str(home / "models")}
    return {**private_environ(home), **closed, **own, "ANTHROPIC_API_KEY": "theirs", "TERM": "xterm-256color"}


def place_model(home: Path, agent: AgentName, file: Path) -> None:
    calls: dict[AgentName, tuple[str, dict[str, str]]] = {
        "claude": ("Read", {"file_path": str(file)}),
        "codex": ("exec_command", {"cmd": f"cat {file}"}),
        "opencode": ("read", {"filePath": str(file)}),
    }
    write_reading_model(home / "models" / "reciting", *calls[agent])


def configuration(home: Path, work: Path) -> dict[Path, str]:
    """Write files that name other servers, models and MCP servers; returns them."""
    server = {"command": "mcp-local-llm"}
    claude: dict[str, Any] = {
        "apiKeyHelper": "echo theirs",
        "env": {"ANTHROPIC_BASE_URL": ELSEWHERE, "CLAUDE_CODE_USE_BEDROCK": "1"},
        "model": "opus",
    }
    other: dict[str, Any] = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": ELSEWHERE, "apiKey": "k"},
        "models": {"x": {}},
    }
    opencode: dict[str, Any] = {
        "model": "other/x",
        "provider": {"other": other},
        "mcp": {"l": {"type": "local", "command": ["x"]}},
    }
    files = {
        home / ".claude" / "settings.json": json.dumps(claude),
        home / ".codex" / "config.toml": (
            'model_provider = "other"\nmodel = "gpt-5"\n[model_providers.other]\nname = "other"\n'
            f'base_url = "{ELSEWHERE}"\n[mcp_servers.local-llm]\ncommand = "mcp-local-llm"\n'
        ),
        home / ".config" / "opencode" / "opencode.jsonc": f"// mine\n{json.dumps(opencode)}",
        work / ".mcp.json": json.dumps({"mcpServers": {"local-llm": server}}),
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return files


@pytest.mark.parametrize("agent", PROGRAMS)
def test_an_agent_answers_and_reads_a_file_with_the_local_model_and_no_configuration_file_is_changed(
    agent: AgentName, agent_environ: dict[str, str], home: Path, work: Path
) -> None:
    place_model(home, agent, work / "notes.txt")
    before = configuration(home, work)

    def run(words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, agent, "--model", "reciting", "--", *WORDS[agent], words],
            env=agent_environ,
            cwd=work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONG_WAIT_S,
        )

    for words, answer in ((PLAIN, ANSWER), (READ, FOUND)):
        done = run(words)
        assert (done.returncode, done.stdout.strip().splitlines()[-1:]) == (0, [answer]), done.stdout + done.stderr
    assert {path: path.read_text() for path in before} == before


class Screen:
    """What Claude Code shows on a pseudo-terminal, without its colours, movements and blanks."""

    def __init__(self, environ: dict[str, str], folder: Path, *arguments: str) -> None:
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            os.execve(COMMAND[0], [*COMMAND, *arguments], environ)
        ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self._alarm = threading.Timer(LONG_WAIT_S, os.kill, (self._pid, signal.SIGKILL))
        self._alarm.start()
        self._seen = b""

    def until(self, words: str) -> None:
        """Read until these words are shown."""
        wanted = words.replace(" ", "").encode()
        for piece in self._pieces():
            self._seen += piece
            if wanted in SCREEN_CODES.sub(b"", self._seen):
                return
        pytest.fail(f"{words!r} was never shown: {SCREEN_CODES.sub(b' ', self._seen).decode(errors='replace')[-3000:]}")

    def type(self, words: str) -> None:
        """Type words, wait until they are in the input line, and send them."""
        os.write(self._terminal, words.encode())
        self.until(words)
        os.write(self._terminal, b"\r")

    def exit_code(self) -> int:
        """Read to the end."""
        for _ in self._pieces():
            pass
        self._alarm.cancel()
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _pieces(self) -> Iterator[bytes]:
        while True:
            try:
                yield os.read(self._terminal, 65_536)
            except OSError:  # The program has ended.
                return


def test_claude_code_s_screen_works_with_a_tool_and_its_end_ends_the_launch(
    agent_environ: dict[str, str], home: Path, work: Path
) -> None:
    place_model(home, "claude", work / "notes.txt")
    known = {"hasCompletedOnboarding": True, "theme": "dark", "mcpServers": {"local-llm": {"command": "mcp-local-llm"}}}
    trusted = {"projects": {str(work): {"hasTrustDialogAccepted": True}}}
    (home / ".claude.json").write_text(json.dumps({**known, **trusted}))
    screen = Screen(agent_environ, work, "claude", "--model", "reciting")
    screen.until("MCP servers of your settings are left out: local-llm.")
    screen.until("? for shortcuts")
    screen.type(READ)
    screen.until(FOUND)
    screen.type("/exit")
    assert screen.exit_code() == 0
    assert json.loads((home / ".claude.json").read_text())["mcpServers"] == known["mcpServers"]


def test_the_first_requests_of_all_forms_are_about_as_long_as_the_table_says(agent_environ: dict[str, str]) -> None:
    command = [sys.executable, "-m", "benchmarks.agent_requests"]
    environ = {**os.environ, "PATH": agent_environ["PATH"]}
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=LONG_WAIT_S)
    assert done.returncode == 0, done.stderr
    rows = re.findall(
        r"\| (\S.*?) \| (usual|--small) \| ([\d,]+) \(([\d,]+)\) \| ([\d,]+) \(([\d,]+)\) \|", done.stdout
    )
    assert len(rows) == len(FORMS), done.stdout
    assert f"has {SAMPLE_TOKENS} tokens" in done.stdout
    for *_, size, told, tokens, told_tokens in rows:
        for measured, written in ((size, told), (tokens, told_tokens)):
            assert 0.8 < int(measured.replace(",", "")) / int(written.replace(",", "")) < 1.25, done.stdout
