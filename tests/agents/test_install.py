"""`install` and `uninstall` as a user calls them, over the settings files that each client documents."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from mcp_local_llm.agents.install.clients import CLIENTS, Surroundings
from tests.clients import WAIT_S

FIXTURES: Mapping[str, str] = {
    "claude-desktop": """{
  "globalShortcut": "",
  "mcpServers": {
    "files": {"command": "npx", "args": ["-y", "x"]}
  }
}
""",
    "codex": """# my settings
model = "gpt-5" # the big one

[mcp_servers.docs]
command = "docs"

[tui]
notifications = true
""",
    "cursor": '{"mcpServers":{"a":{"url":"http://x"}}}',
    "vscode": """{
\t// servers of mine
\t"servers": {
\t\t"a": {"type": "http", "url": "http://x"}, // one
\t},
\t"inputs": [],
}
""",
    "cline": '{\r\n  "mcpServers": {}\r\n}\r\n',
    "zed": '// Zed settings\n{\n  "theme": "One Dark", // dark\n  "vim_mode": true,\n}\n',
    "opencode": '{\n  "$schema": "https://opencode.ai/config.json",\n  "model": "x/y"\n}',
    "gemini": '{\n    "security": {"auth": {"selectedType": "oauth-personal"}}\n}\n',
    "goose": """GOOSE_MODEL: x # mine
extensions:
  developer:
    type: builtin
    enabled: true
    timeout: 300
""",
}


def run(environ: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mcp_local_llm", *arguments]
    return subprocess.run(
        command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT_S
    )


def place(environ: Mapping[str, str]) -> dict[str, Path]:
    """Write the fixture of every client."""
    around = Surroundings(Path(environ["HOME"]), environ, "Linux")
    files = {client.name: client.file(around) for client in CLIENTS}
    for name, file in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(FIXTURES[name].encode())
        file.chmod(0o640)
    return files


@pytest.fixture
def alone(environ: dict[str, str]) -> dict[str, str]:
    """An environment without any client's program."""
    return {**environ, "PATH": str(Path(sys.executable).parent)}


def test_every_client_gets_the_entry_and_gives_it_back_byte_for_byte(alone: dict[str, str]) -> None:
    files = place(alone)
    shown = run(alone, "install", "--dry-run")
    assert {name: file.read_bytes() for name, file in files.items()} == {n: t.encode() for n, t in FIXTURES.items()}
    done = run(alone, "install")
    assert (done.returncode, done.stderr) == (0, "")
    for client in CLIENTS:
        text = files[client.name].read_text()
        assert client.title in shown.stdout
        assert "local-llm" in text
        assert str(Path(sys.executable).parent / "mcp-local-llm") in text
        assert all(line.rstrip(",") in text for line in FIXTURES[client.name].splitlines() if line.startswith("\t//"))
        assert files[client.name].stat().st_mode & 0o777 == 0o640
    again = run(alone, "install")
    assert again.stdout.count("is written there already") == len(CLIENTS)
    undone = run(alone, "uninstall")
    assert undone.stdout.count("byte for byte") == len(CLIENTS)
    assert {name: file.read_bytes() for name, file in files.items()} == {n: t.encode() for n, t in FIXTURES.items()}


def test_a_file_that_was_changed_since_keeps_the_change_and_loses_our_entry_alone(alone: dict[str, str]) -> None:
    files = place(alone)
    run(alone, "install")
    grown = files["codex"].read_text().replace("notifications = true", "notifications = false")
    files["codex"].write_text(grown)
    assert "the rest of the file" in run(alone, "uninstall", "--client", "codex").stdout
    left = files["codex"].read_text()
    assert "local-llm" not in left
    assert left.rstrip() == FIXTURES["codex"].replace("true", "false").rstrip()


def test_a_client_without_a_file_gets_one_and_it_goes_again(alone: dict[str, str], home: Path) -> None:
    before = {path for path in home.rglob("*") if "run" not in path.parts}
    assert run(alone, "install", "--client", "cursor").returncode == 0
    assert json.loads((home / ".cursor" / "mcp.json").read_text())["mcpServers"]["local-llm"]["args"] == []
    assert run(alone, "uninstall", "--client", "cursor").returncode == 0
    left = {path for path in home.rglob("*") if "run" not in path.parts} - before
    assert [path for path in left if path.is_file() or "cursor" in path.name] == []


def test_what_the_user_added_to_the_entry_stays(alone: dict[str, str], home: Path) -> None:
    file = home / ".gemini" / "settings.json"
    file.parent.mkdir()
    file.write_text('{"mcpServers": {"local-llm": {"command": "/old", "env": {"A": "1"}, "timeout": 5}}}')
    run(alone, "install", "--client", "gemini")
    entry = json.loads(file.read_text())["mcpServers"]["local-llm"]
    assert entry == {
        "command": str(Path(sys.executable).parent / "mcp-local-llm"),
        "env": {"A": "1"},
        "timeout": 5,
        "args": [],
    }


def test_a_link_to_the_settings_stays_a_link(alone: dict[str, str], home: Path) -> None:
    real = home / "dotfiles" / "mcp.json"
    real.parent.mkdir()
    real.write_text("{}")
    link = home / ".cursor" / "mcp.json"
    link.parent.mkdir()
    link.symlink_to(real)
    run(alone, "install", "--client", "cursor")
    assert link.is_symlink()
    assert "local-llm" in real.read_text()


@pytest.mark.parametrize(
    ("content", "words"),
    [(b'{"a": ', "cannot be read as JSON"), (b"\xff\xfe", "not text in UTF-8"), (b"[]", "no JSON object")],
)
def test_a_file_that_cannot_be_read_is_left_alone_and_told(
    content: bytes, words: str, alone: dict[str, str], home: Path
) -> None:
    file = home / ".cursor" / "mcp.json"
    file.parent.mkdir()
    file.write_bytes(content)
    done = run(alone, "install", "--client", "cursor")
    assert done.returncode == 1
    assert words in done.stdout
    assert "Write it by hand under mcpServers.local-llm" in done.stdout
    assert file.read_bytes() == content


def test_programs_read_what_happened_as_json(alone: dict[str, str]) -> None:
    files = place(alone)
    told = json.loads(run(alone, "install", "--json").stdout)["clients"]
    assert {one["client"]: one["place"] for one in told} == {name: str(file) for name, file in files.items()}
    assert all("+" in one["change"] and "starts this server" in one["outcome"] and not one["failed"] for one in told)


def test_an_unknown_client_is_refused_with_the_names(alone: dict[str, str]) -> None:
    done = run(alone, "install", "--client", "emacs")
    assert done.returncode == 2
    assert "claude-code, claude-desktop, codex" in done.stderr


CLAUDE = """#!/usr/bin/env python3
import json, pathlib, sys
file = pathlib.Path.home() / ".claude.json"
told = json.loads(file.read_text()) if file.exists() else {}
servers = told.setdefault("mcpServers", {})
words = sys.argv[1:]
if words[:2] == ["mcp", "add"]:
    servers["local-llm"] = {"command": words[6], "args": words[7:]}
elif words[:2] == ["mcp", "remove"]:
    del servers["local-llm"]
elif words == ["mcp", "list"]:
    print("Checking MCP server health...\\n")
    for name, entry in servers.items():
        print(f"{name}: {entry['command']} - \\u2714 Connected")
file.write_text(json.dumps(told))
"""
"""Stands for Claude Code's own command here; the real one runs in tests/client_programs."""


@pytest.fixture
def with_claude(alone: dict[str, str], home: Path) -> dict[str, str]:
    """The environment, with a command `claude` on its PATH."""
    program = home / "bin" / "claude"
    program.parent.mkdir()
    program.write_text(CLAUDE)
    program.chmod(0o755)
    return {**alone, "PATH": f"{program.parent}:{alone['PATH']}:/usr/bin:/bin"}


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_a_slash_command_that_cannot_be_read_is_told(command: str, with_claude: dict[str, str], home: Path) -> None:
    folder = home / ".claude" / "commands" / "switch-model.md"
    folder.mkdir(parents=True)
    done = run(with_claude, command, "--client", "claude-code")
    assert done.returncode == 1
    assert f"{folder} cannot be read" in done.stdout
    assert "Traceback" not in done.stderr


def test_claude_code_is_told_by_its_own_command_and_gets_the_slash_commands(
    with_claude: dict[str, str], home: Path
) -> None:
    environ = with_claude
    commands = home / ".claude" / "commands"
    commands.mkdir(parents=True)
    (commands / "local-review.md").write_text("mine")
    done = run(environ, "install", "--client", "claude-code")
    assert "✔ Connected" in done.stdout
    assert (commands / "switch-model.md").exists()
    assert (commands / "local-review.md").read_text() == "mine"
    assert "nothing is to be done" in run(environ, "install", "--client", "claude-code").stdout
    doctor = run(environ, "doctor", "--ports", "none")
    assert f"ok       Claude Code: {home / '.claude.json'} starts this server" in doctor.stdout
    run(environ, "uninstall", "--client", "claude-code")
    assert [path.name for path in commands.iterdir()] == ["local-review.md"]
    assert json.loads((home / ".claude.json").read_text()) == {"mcpServers": {}}


def test_the_check_up_says_which_clients_start_something_else(alone: dict[str, str], home: Path) -> None:
    files = place(alone)
    run(alone, "install", "--client", "codex")
    files["cursor"].write_text('{"mcpServers": {"local-llm": {"command": "/gone/mcp-local-llm", "args": []}}}')
    doctor = run(alone, "doctor", "--ports", "none").stdout
    assert f"ok       Codex: {files['codex']} starts this server" in doctor
    assert f"problem  Cursor: {files['cursor']} starts `/gone/mcp-local-llm`: it cannot be started" in doctor
    assert "mcp-local-llm install --client cursor" in doctor
    assert "note     Zed:" in doctor


def test_what_is_kept_for_uninstall_is_for_this_user_alone(alone: dict[str, str], home: Path) -> None:
    place(alone)
    run(alone, "install", "--client", "codex")
    folder = home / ".local" / "state" / "mcp-local-llm" / "install"
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {"0o600"}
    told = json.loads((folder / "codex.json").read_text())
    written = Path(told["path"]).read_bytes()
    assert told["after"] == hashlib.sha256(written).hexdigest()
