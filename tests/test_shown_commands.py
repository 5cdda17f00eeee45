"""Every command that the README and the pages of docs/ show: run here, run by another test, or why not."""

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping

import pytest

from tests.clients import WAIT_S
from tests.source import ROOT

OURS = "mcp-local-llm"
RUN: Mapping[str, str] = {
    'mcp-local-llm chat "…"': 'chat "Hello"',
    'mcp-local-llm chat -f FILE "…"': 'chat -f notes.txt "What is it?" --no-thinking --max-tokens 8',
    "mcp-local-llm models": "models",
    "mcp-local-llm use 32b": "use tiny",
    "mcp-local-llm use coder": "use tiny",
    "mcp-local-llm ps": "ps",
    "mcp-local-llm unload": "unload",
    "mcp-local-llm config": "config",
    "mcp-local-llm config set idle_minutes 30": "config set idle_minutes 30",
    "mcp-local-llm clean": "clean",
    "mcp-local-llm test tools": "test tools",
    "mcp-local-llm prompt switch-model > .claude/commands/switch-model.md": "prompt switch-model",
    "mcp-local-llm --verbose …": "--verbose models",
    "mcp-local-llm install --dry-run": "install --dry-run",
    "mcp-local-llm install --client zed": "install --client zed",
}
"""The shown command → the same for the built-in model, in a folder with notes.txt."""

ELSEWHERE: Mapping[str, str] = {
    "mcp-local-llm install": "tests/agents/test_install.py",
    "mcp-local-llm uninstall": "tests/agents/test_install.py",
    "mcp-local-llm install --client claude-code": "tests/client_programs/test_installed_clients.py",
    "mcp-local-llm bench": "tests/bench/test_bench.py",
    "mcp-local-llm bench 4b 32b": "tests/bench/test_bench.py",
    "mcp-local-llm bench 32b --chart speed.svg": "tests/bench/test_bench.py",
    "mcp-local-llm bench --compare 4b 32b": "tests/bench/test_bench.py",
    "mcp-local-llm bench 32b --tasks": "tests/bench/test_bench.py",
    "mcp-local-llm chat": "tests/doors/cli/test_interactive.py",
    "mcp-local-llm default": "tests/doors/cli/test_output.py",
    "mcp-local-llm rm NAME": "tests/doors/cli/test_output.py",
    "mcp-local-llm status --watch": "tests/doors/cli/test_output.py",
    "mcp-local-llm --install-completion": "tests/doors/cli/test_output.py",
    "mcp-local-llm pull ORG/NAME": "tests/doors/cli/test_commands.py",
    "mcp-local-llm doctor": "tests/doctor/test_command.py",
    "mcp-local-llm doctor --bundle report.txt": "tests/doctor/test_bundle.py",
    "mcp-local-llm serve": "tests/doors/http/test_serve.py",
    "MCP_LOCAL_LLM_SERVE_ANY_MODEL=true mcp-local-llm serve": "tests/client_programs/test_claude_code_local.py",
    "mcp-local-llm launch claude": "tests/client_programs/test_launch.py",
    "mcp-local-llm launch claude --model tiny": "tests/agents/test_launch.py",
    "mcp-local-llm launch claude --subagents-local --model tiny": "tests/client_programs/test_local_subagents.py",
    'git diff | mcp-local-llm chat "Write a commit message for this."': "tests/doors/cli/test_answers.py",
    "make demo": "tests/test_readme.py",
    "claude mcp add --scope user local-llm -- mcp-local-llm": "tests/test_readme.py",
}
"""The shown command → the tests that run it."""

NOT_RUN: Mapping[str, str] = {
    "make test": "it runs this test",
    "pipx install .": "it needs the network; the wheel is built and tried in tests/test_packaging.py",
    "mcp-local-llm pull mlx-community/Qwen2.5-Coder-7B-Instruct-4bit": "a model of 4 GB; see pull ORG/NAME",
    "mcp-local-llm chat -f docs/gguf.md:1-6 --max-tokens 40 "
    '"What is this page about? Answer with one short sentence."': "a real model's words differ between machines",
    "mcp-local-llm chat -f 'logs/*.log' --each-file --template classify-logs": "as the one before",
    "mcp-local-llm bench SmolLM2 --tasks --run-code --yes": "an hour on a CPU; tests/real/test_bench.py runs a part",
    "mcp-local-llm launch claude|codex|opencode [--model NAME] [--small] [--keep-mcp] [--print] [--force] "
    "[-- ARGUMENTS]": "it is the form of the command",
    "mcp-local-llm launch claude --subagents-local [--model NAME] [-- ARGUMENTS]": "it is the form of the command",
}
"""The shown command → why no test runs it."""


def shown() -> set[str]:
    """The commands of this program in fenced blocks, and those that a newcomer is told to type."""
    found: set[str] = set()
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for kind, block in re.findall(r"```(\w*)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.splitlines():
                command = re.split(r"\s{2,}", re.sub(r"^\s*(\$ )?", "", line))[0]
                if (kind == "bash" and page.name == "README.md" and command) or re.match(
                    rf"([A-Z_]+=\S+ |git diff \| )*{OURS}( (?!\d)|$)", command
                ):
                    found.add(command)
    return found


def test_every_shown_command_is_run_or_has_a_reason() -> None:
    assert shown() == RUN.keys() | ELSEWHERE.keys() | NOT_RUN.keys()


@pytest.mark.parametrize("path", sorted(set(ELSEWHERE.values())))
def test_the_tests_that_run_a_shown_command_are_there(path: str) -> None:
    assert (ROOT / path).is_file()


@pytest.mark.parametrize("command", sorted(set(RUN.values())))
def test_a_shown_command_does_what_it_says(command: str, environ: dict[str, str], home: object) -> None:
    folder = f"{environ['HOME']}/project"
    subprocess.run(["mkdir", "-p", folder], check=True)
    with open(f"{folder}/notes.txt", "w", encoding="utf-8") as file:
        file.write("Two cats and a bird sat by the door.\n")
    done = subprocess.run(
        [sys.executable, "-m", "mcp_local_llm", *shlex.split(command)],
        env=environ, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT_S,
    )  # fmt: skip
    # 3: the answer of the built-in model about a file may be cut off.
    assert done.returncode in (0, 3), done.stderr
    assert done.stdout.strip()
