"""What commands print for people and for programs: width, colours, JSON, exit codes, completion."""

import json
import os
import re
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import pytest
import typer

from mcp_local_llm.doors.cli.commands import CommandParts, build_commands
from tests.clients import WAIT_S
from tests.doors.cli.conftest import OTHER, folder
from tests.doors.cli.terminal import COLUMNS, COMMAND, ESCAPES, terminal
from tests.model_cache import build_cache


def run(environ: dict[str, str], *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    command = [*COMMAND, *arguments]
    return subprocess.run(command, env=environ, input=stdin, capture_output=True, text=True, timeout=WAIT_S)


@pytest.mark.parametrize(
    "arguments",
    [
        ("models",),
        ("status",),
        ("ps",),
        ("config",),
        ("config", "get", "idle_minutes"),
        ("config", "unset", "idle_minutes"),
        ("clean",),
        ("test", "hello"),
        ("use", "tiny"),
        ("chat", "Hello", "--no-stdin"),
        ("doctor", "--ports", "none"),
        ("prompt", "switch-model"),
        ("serve", "--install"),
        ("serve", "--uninstall"),
    ],
    ids=" ".join,
)
def test_json_is_all_that_stdout_holds(held: dict[str, str], arguments: tuple[str, ...]) -> None:
    done = run(held, *arguments, "--json")
    assert isinstance(json.loads(done.stdout), dict)
    assert done.returncode in (0, 1 if arguments[0] == "doctor" else 0)


def test_every_command_that_tells_something_has_json() -> None:
    # Nothing is executed, so there is nothing to execute it with.
    parts = cast(Any, CommandParts)(*[None] * len(fields(CommandParts)))
    root: Any = typer.main.get_command(build_commands(parts))
    without = [
        name for name, command in root.commands.items() if not any("--json" in option.opts for option in command.params)
    ]
    # What `launch` does not know goes to the agent, and Codex has a --json of its own.
    assert without == ["launch"]


def test_tables_fit_80_columns_with_whole_names_and_reasons_below(environ: dict[str, str], home: Path) -> None:
    build_cache(home / ".cache" / "huggingface" / "hub")
    done = run({**environ, "COLUMNS": "80"}, "models")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= COLUMNS
    assert any("mlx-community/Qwen3-Coder-30B-A3B-Instruct-4bit" in line for line in lines)
    assert any(re.match(r" ?\d+  cannot be chosen: ", line) for line in lines)
    wide = run(environ, "models").stdout.splitlines()
    assert len(wide[0].split()) == 7
    *settings, _ = run({**environ, "COLUMNS": "80"}, "config").stdout.splitlines()
    assert max(map(len, settings)) <= COLUMNS


def test_colours_are_for_terminals_and_no_color_is_obeyed(held: dict[str, str]) -> None:
    assert "\x1b" not in run(held, "models").stdout
    with terminal(held, "models") as coloured:
        assert coloured.ended() == 0
    with terminal({**held, "NO_COLOR": "1"}, "models") as plain:
        assert plain.ended() == 0
    styles = re.compile(r"\x1b\[[\d;]+m")
    assert styles.search(coloured.raw)
    assert not styles.search(plain.raw)
    assert max(len(line.rstrip("\r")) for line in ESCAPES.sub("", plain.raw).split("\n")) <= COLUMNS


def test_ps_shows_the_holder_and_watching_goes_on_until_ctrl_c(held: dict[str, str]) -> None:
    assert run(held, "test", "hello").returncode == 0
    shown = run(held, "ps").stdout.splitlines()
    assert shown[1].split()[:2] == ["tiny", "ready"]
    with terminal(held, "status", "--watch") as watching:
        watching.until("ready tiny")
        watching.until("ready tiny")
        watching.interrupt()
        assert watching.ended() == 130


def test_default_forgets_the_choice_and_loads_what_the_registry_names(held: dict[str, str]) -> None:
    choice = folder(held) / ".config" / "mlx-mcp" / "active_model"
    refused = run(held, "default")
    assert refused.returncode == 2
    assert "names no model as default" in refused.stderr
    assert choice.read_text() == "tiny\n"
    registry = folder(held) / ".config" / "ai-stack" / "registry.json"
    registry.parent.mkdir(parents=True)
    registry.write_text(json.dumps({"models": {"default": OTHER}}))
    done = run(held, "default")
    assert done.returncode == 0, done.stderr
    assert OTHER in done.stdout
    assert not choice.exists()
    assert json.loads(run(held, "status", "--json").stdout)["model"] == OTHER


def test_rm_asks_and_leaves_the_resident_model(held: dict[str, str]) -> None:
    assert run(held, "use", OTHER).returncode == 0
    resident = run(held, "rm", OTHER, "--yes")
    assert resident.returncode == 2
    assert "mcp-local-llm unload" in resident.stderr
    assert run(held, "use", "tiny").returncode == 0
    unasked = run(held, "rm", OTHER)
    assert unasked.returncode == 2
    assert "--yes" in unasked.stderr
    with terminal(held, "rm", OTHER) as asked:
        asked.until(f"Remove {OTHER}? [y/N]")
        asked.type("n\n")
        assert asked.ended() == 1
    assert run(held, "rm", "tiny", "--yes").returncode == 2
    done = run(held, "rm", OTHER, "--yes", "--json")
    assert json.loads(done.stdout)["model"] == OTHER
    assert not list((folder(held) / ".cache" / "huggingface" / "hub").glob("models--*"))
    gone = run(held, "rm", OTHER, "--yes")
    assert (gone.returncode, "No model here is called" in gone.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "question"), [("install --client cursor", "[Y/n]"), ("doctor --bundle --ports none", "[y/N]")]
)
def test_ctrl_c_at_a_question_ends_with_130(environ: dict[str, str], arguments: str, question: str) -> None:
    with terminal(environ, *arguments.split()) as asked:
        asked.until(question)
        asked.interrupt()
        assert asked.ended() == 130


def test_a_shell_completes_names_of_models(held: dict[str, str]) -> None:
    words = {"COMP_WORDS": "mcp-local-llm use ti", "COMP_CWORD": "2"}
    done = run({**held, **words, "_MCP_LOCAL_LLM_COMPLETE": "complete_bash"})
    assert (done.stdout.split(), done.stderr) == (["tiny"], "")


def test_without_arguments_on_a_terminal_it_says_what_it_is(environ: dict[str, str]) -> None:
    with terminal(environ) as told:
        told.until("mcp-local-llm chat")
        told.until("claude mcp add --scope user local-llm -- mcp-local-llm")
        assert told.ended() == 0


@pytest.mark.parametrize("arguments", ["models", "--help", "config", "prompt delegate", "chat --help"])
def test_a_text_whose_reader_goes_away_ends_without_a_word(held: dict[str, str], arguments: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as nobody:
        done = subprocess.run(
            [*COMMAND, *arguments.split()],
            env=held,
            stdin=subprocess.DEVNULL,
            stdout=nobody,
            stderr=subprocess.PIPE,
            timeout=WAIT_S,
        )
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("arguments", "closed", "code"),
    [
        ("config", ">&-", 0),
        ("models", ">&-", 0),
        ("doctor --ports none --json", ">&-", 0),
        ("config get modell", "2>&-", 2),
        ("chat Hello", "<&-", 0),
        ("", "<&-", 0),
    ],
)
def test_a_stream_that_is_closed_from_the_beginning_is_no_fault(
    held: dict[str, str], arguments: str, closed: str, code: int
) -> None:
    # At 0, 1 or 2 a shell that closes a stream leaves a number that the next file would get.
    command = ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, *arguments.split()]
    done = subprocess.run(command, env=held, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT_S)
    assert "Traceback" not in done.stderr
    assert "CRITICAL" not in done.stderr
    assert done.returncode in (code, 1 if arguments.startswith("doctor") else code)


@pytest.mark.parametrize("arguments", [("config",), ("config", "--json"), ("config", "get", "model"), ("models",)])
def test_a_letter_that_the_encoding_of_stdout_lacks_does_not_end_a_command(
    environ: dict[str, str], home: Path, arguments: tuple[str, ...]
) -> None:
    file = home / ".config" / "mcp-local-llm" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('model = "größe"\n', encoding="utf-8")
    done = run(environ | {"PYTHONIOENCODING": "ascii"}, *arguments)
    assert (done.returncode, "gr??e" in done.stdout, done.stderr) == (0, True, "")


INTERRUPTED_IMPORT = """
import os, signal
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt as error:
    raise RuntimeError("as where a class is made") from error
"""


def test_ctrl_c_during_an_import_ends_a_command_without_a_word(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text(INTERRUPTED_IMPORT)
    done = run(environ | {"PYTHONPATH": str(tmp_path)}, "config")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_help_has_examples_and_exit_codes(environ: dict[str, str]) -> None:
    shown = run(environ, "--help").stdout
    assert "Exit codes:" in shown
    assert "  3    an answer came, but it is cut off" in shown
    assert "Examples:" in run(environ, "chat", "--help").stdout
    assert max(map(len, shown.splitlines())) <= COLUMNS


def test_config_sets_and_shows_where_a_value_comes_from(environ: dict[str, str], home: Path) -> None:
    assert run(environ, "config", "set", "batch_size", "8").returncode == 0
    rows = json.loads(run({**environ, "MCP_LOCAL_LLM_IDLE_MINUTES": "3"}, "config", "--json").stdout)["settings"]
    sources = {row["name"]: (row["value"], row["source"]) for row in rows}
    file = home / ".config" / "mcp-local-llm" / "config.toml"
    assert sources["batch_size"] == (8, str(file))
    assert sources["idle_minutes"] == (3.0, "MCP_LOCAL_LLM_IDLE_MINUTES")
    assert sources["queue_size"] == (16, "default")
    refused = run(environ, "config", "set", "batch_size", "many")
    assert (refused.returncode, "batch_size" in refused.stderr) == (1, True)
    assert file.read_text() == "batch_size = 8\n"
