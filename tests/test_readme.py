"""The README's commands and transcript, run. A reader follows them from the first line."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters

from mcp_local_llm.setup.settings import SAMPLING_SETTINGS, SETTING_SCOPES, Settings
from tests.clients import WAIT_S

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEMO = (ROOT / "docs" / "demo.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "docs" / "tuning.md").read_text(encoding="utf-8")
UNSET_SAMPLING = [name for name in SAMPLING_SETTINGS if Settings.model_fields[name].default is None]
COMMAND_LINE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
COMMANDS = [line.strip() for block in BLOCKS for line in block.splitlines() if line.strip()]


def masked(transcript: str) -> list[str]:
    """What must be the same in every run: not progress, sizes, times, speeds, models or folders of a machine."""
    transcript = re.sub(r"request [0-9a-f]{8}:", "request N:", transcript)
    lines = [
        re.sub(r"\s+", " ", re.sub(r"\d[\d.,]*( [kMGT]?B)?", "N", line)).strip() for line in transcript.splitlines()
    ]
    kept: list[str] = []
    table = False
    for line in lines:
        table = line.startswith("# model") or (table and re.match(r"N ", line) is not None)
        if not table and not line.startswith(("..", "memory:", "Files are read and written in")):
            kept.append(line)
    return kept


@pytest.mark.slow
def test_the_demo_prints_the_transcript_of_the_readme(environ: dict[str, str]) -> None:
    shown = re.search(r"<!-- demo -->\n```text\n(.*?)```\n<!-- /demo -->", DEMO, re.DOTALL)
    assert shown is not None
    demo = subprocess.run(
        [sys.executable, "-m", "examples.demo"],
        cwd=ROOT, env=environ | {"DEMO_REAL": "0"}, capture_output=True, text=True, timeout=WAIT_S, check=False,
    )  # fmt: skip
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert masked(demo.stdout) == masked(shown[1])


def test_the_demo_and_the_tests_are_what_make_runs() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "make demo" in COMMANDS
    assert "make test" in COMMANDS
    assert re.search(r"^demo:.*\n\t@\$\(BIN\)/python -m examples\.demo$", makefile, re.MULTILINE)
    tests = r"^test: lint\n\t.*\$\(PYRIGHT\).*\$\(BIN\)/python -m pytest -n \d --dist worksteal;"
    assert re.search(tests + r".*\\\n.*exit \$\$\(\(tests \|\| types\)\)$", makefile, re.MULTILINE)
    assert {"make test", "make test-engines", "make test-real"} <= set(script("run"))
    assert {"make test-all", "make test-engines", "make test-real"} <= set(script("nightly"))


def script(name: str) -> list[str]:
    return (ROOT / ".ci" / name).read_text(encoding="utf-8").splitlines()


async def test_the_command_that_claude_code_is_given_starts_the_server(environ: dict[str, str]) -> None:
    (line,) = [line for line in COMMANDS if line.startswith("claude mcp add")]
    words = shlex.split(line)
    command = words[words.index("--") + 1 :]
    bin_folder = str(Path(sys.executable).parent)
    parameters = StdioServerParameters(
        command=str(Path(bin_folder) / command[0]), args=command[1:], env={**environ, "PATH": bin_folder}
    )
    async with Client(parameters) as client:
        tools = (await client.list_tools()).tools
    assert [tool.name for tool in tools] == ["chat", "set_model", "quick_test", "list_models", "status", "draft"]


def test_every_command_of_the_readme_is_known_to_these_tests() -> None:
    # pipx needs the network, claude is not ours (its last part is run above); tests/agents runs `install`.
    assert set(COMMANDS) == {
        "make demo", "make test", "pipx install .", "mcp-local-llm install",
        "claude mcp add --scope user local-llm -- mcp-local-llm"
    }  # fmt: skip


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([a-zA-Z][\w/.-]*)\)", README))))
def test_every_file_that_the_readme_links_to_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_table_of_settings_names_each_of_them_and_whose_value_counts() -> None:
    table = re.search(r"^\| key \| default \| whose \| meaning \|\n(.*?)\n\n", SETTINGS, re.DOTALL | re.MULTILINE)
    assert table is not None
    whose: dict[str, str] = {}
    for row in table[1].splitlines()[1:]:
        keys, _, ruled = [cell.strip() for cell in row.strip("|").split(" | ")][:3]
        whose |= dict.fromkeys(re.findall(r"`(\w+)`", keys), ruled)
    assert whose == {name: SETTING_SCOPES.get(name, "owner") for name in Settings.model_fields}
    assert set(SETTING_SCOPES.values()) == {"session", "listener"}


def test_the_table_of_settings_names_the_defaults_of_the_code() -> None:
    table = re.search(r"^\| key \| default \| whose \| meaning \|\n(.*?)\n\n", SETTINGS, re.DOTALL | re.MULTILINE)
    assert table is not None
    shown: dict[str, str] = {}
    for row in table[1].splitlines()[1:]:
        keys, told = [cell.strip() for cell in row.strip("|").split(" | ")][:2]
        names, told = re.findall(r"`(\w+)`", keys), told.split(", ")
        shown |= dict(zip(names, told if len(told) == len(names) else told * len(names), strict=True))
    defaults = Settings().model_dump()
    # What is not set is found on this machine, or is the model's own.
    words = {"prefix_cache_mb": "by memory", "llama_server": "PATH"} | dict.fromkeys(UNSET_SAMPLING, "the model's")
    for name, value in defaults.items():
        if value in (None, (), {}):
            assert shown[name] == words.get(name, "none"), name
        else:
            text = f"{value:g}" if isinstance(value, float) else str(value)
            assert shown[name] == (text.lower() if isinstance(value, bool) else text), name


def test_every_setting_has_a_reason_for_its_default() -> None:
    table = re.search(r"^\| key \| why \|\n(.*?)\n\n", SETTINGS, re.DOTALL | re.MULTILINE)
    assert table is not None
    rows = [row.strip("|").split(" | ") for row in table[1].splitlines()[1:]]
    named = [name for keys, _ in rows for name in re.findall(r"`(\w+)`", keys)]
    assert sorted(named) == sorted(Settings.model_fields)
    assert all(len(why.split()) > 5 for _, why in rows)


def test_every_command_and_option_of_the_command_line_section_is_there(environ: dict[str, str]) -> None:
    section = COMMAND_LINE

    def help_of(*command: str) -> str:
        arguments = [sys.executable, "-m", "mcp_local_llm", *command, "--help"]
        return subprocess.run(arguments, env=environ, capture_output=True, text=True, timeout=WAIT_S, check=True).stdout

    known = re.findall(r"^  ([a-z]+)  ", help_of(), re.MULTILINE)
    shown = set(re.findall(r"(?:^|`|\| )mcp-local-llm ([a-z]+)", section, re.MULTILINE))
    assert shown <= set(known)
    chat = help_of("chat")
    paragraph = section[section.index("`chat` also takes") : section.index("In a conversation")]
    assert [option for option in re.findall(r"`(-{1,2}[a-z-]+)", paragraph) if option not in chat] == []
