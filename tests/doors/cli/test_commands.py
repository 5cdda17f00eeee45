"""The command line as people and scripts use it: a real process, its two streams and its exit code."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_local_llm import __version__
from mcp_local_llm.setup.places import read_prompt
from tests.clients import WAIT_S
from tests.loopback_hub import LoopbackHub, running
from tests.model_cache import TINY, place_tiny

NAME = "acme/tiny-4bit"


@pytest.fixture
def server() -> Iterator[LoopbackHub]:
    files = {path.name: path.read_bytes() for path in TINY.iterdir() if path.is_file()}
    with running(LoopbackHub({NAME: files})) as hub:
        yield hub


@pytest.fixture
def online(environ: dict[str, str], server: LoopbackHub) -> dict[str, str]:
    return {**environ, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": server.endpoint}


def run(environ: dict[str, str], *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mcp_local_llm", *arguments]
    return subprocess.run(command, env=environ, input=stdin, capture_output=True, text=True, timeout=WAIT_S)


def test_models_prints_the_numbered_table_and_loads_nothing(environ: dict[str, str], home: Path) -> None:
    place_tiny(home / ".cache" / "huggingface" / "hub", NAME)
    done = run(environ, "models")
    head, first, second, *rest = done.stdout.splitlines()
    _, strengths, reason, *rest = rest
    assert done.returncode == 0
    assert head.split()[:4] == ["#", "model", "size", "quantization"]
    assert first.split()[:3] == ["1", NAME, "(chosen)"]
    assert second.split()[:2] == ["2", "tiny"]
    assert strengths.startswith("1  ")
    assert reason == "2  for diagnosis and tests only; its answers mean nothing"
    assert rest[0] == f"chosen: {NAME}"
    assert done.stderr == ""


def test_chat_prints_the_answer_alone_and_notes_on_stderr(environ: dict[str, str]) -> None:
    done = run(environ, "chat", "Hello")
    assert (done.returncode, done.stdout) == (0, "Hello! How can I help you today?\n")
    assert "tiny, the built-in test model, answers" in done.stderr


@pytest.mark.parametrize("arguments", [("use", "no-such"), ("prompt", "x" * 100_000)], ids=["name", "prompt"])
def test_an_error_is_short_and_names_commands(environ: dict[str, str], arguments: tuple[str, ...]) -> None:
    done = run(environ, *arguments)
    assert done.returncode == 2
    assert "list_models" not in done.stderr
    assert "`mcp-local-llm models`" in done.stderr or "There is no prompt" in done.stderr
    assert len(done.stderr) < 500


def test_chat_reads_the_message_from_stdin(environ: dict[str, str]) -> None:
    done = run(environ, "chat", "-", stdin="Hello")
    assert (done.returncode, done.stdout) == (0, "Hello! How can I help you today?\n")


def test_an_answer_that_was_cut_off_is_told_on_stderr(environ: dict[str, str]) -> None:
    done = run(environ, "chat", "Write a haiku about a river.", "--max-tokens", "4", "--no-thinking")
    assert done.returncode == 3
    assert "Cut off: max_tokens was reached after 4 tokens. Call again with a larger --max-tokens." in done.stderr


def test_an_empty_message_is_a_wrong_request(environ: dict[str, str]) -> None:
    done = run(environ, "chat", "-")
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        "mcp-local-llm: There is no message. Give one, or pipe a text into the command.\n",
    )


def test_pull_fetches_a_model_that_use_then_chooses(online: dict[str, str], home: Path) -> None:
    pulled = run(online, "pull", NAME)
    assert pulled.returncode == 0, pulled.stderr
    assert pulled.stdout.startswith(f"{NAME} (1.8 MB) is in {home}/.cache/huggingface/hub/models--acme--tiny-4bit/")
    assert "were downloaded" in pulled.stdout
    used = run(online, "use", "4bit")
    assert used.returncode == 0, used.stderr
    assert used.stdout.startswith(f"{NAME} is the choice")
    assert (home / ".config" / "mlx-mcp" / "active_model").read_text() == f"{NAME}\n"
    assert f"choice: {NAME}" in run(online, "status").stdout


def test_use_can_download_on_the_way(online: dict[str, str]) -> None:
    done = run(online, "use", NAME, "--download")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{NAME} is the choice")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("pull", "acme/none"), 2, "no public repository acme/none"),
        (("pull", "32b"), 2, "mlx-community/Qwen2.5-Coder-32B-Instruct-4bit"),
        (("use", "zzz"), 2, "No model here is called 'zzz'"),
        (("prompt", "zzz"), 2, "Prompts: commit, condense, delegate, review, switch-model"),
        (("chat", "Hello", "--model", "7"), 2, "there is no number 7"),
        (("test", "zzz"), 2, "zzz"),
        (("zzz",), 2, "No such command"),
        (("pull",), 2, "Missing argument"),
    ],
)
def test_a_wrong_request_ends_with_2_and_says_why_on_stderr(
    online: dict[str, str], arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = run(online, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_offline_ends_with_1_and_one_sentence(environ: dict[str, str]) -> None:
    done = run(environ, "pull", NAME)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "HF_HUB_OFFLINE" in done.stderr


def test_a_wrong_setting_ends_every_command_with_its_name(environ: dict[str, str]) -> None:
    done = run({**environ, "MCP_LOCAL_LLM_RESERVE_CONTEXT": "many"}, "models")
    assert done.returncode == 1
    assert "MCP_LOCAL_LLM_RESERVE_CONTEXT" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_scripted_questions_pass_on_the_built_in_model(environ: dict[str, str]) -> None:
    done = run(environ, "test", "math")
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("math: passed.")


def test_prompt_prints_the_slash_command_as_it_is(environ: dict[str, str]) -> None:
    done = run(environ, "prompt", "switch-model")
    assert (done.returncode, done.stdout) == (0, read_prompt("switch-model"))


def test_version_and_help_answer_without_the_heavy_imports(environ: dict[str, str]) -> None:
    assert run(environ, "--version").stdout == f"mcp-local-llm {__version__}\n"
    shown = run(environ, "--help").stdout
    for command in ("pull", "models", "use", "chat", "test", "status", "prompt", "doctor"):
        assert f"  {command} " in shown
    code = (
        "import atexit, json, os, sys; sys.argv = ['mcp-local-llm', '--version']; real = os._exit;"
        "os._exit = lambda code: (sys.stderr.write(json.dumps([*sys.modules])), sys.stderr.flush(), real(code));"
        "from mcp_local_llm.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=WAIT_S)
    loaded = set(json.loads(done.stderr))
    assert loaded.isdisjoint({"mlx", "mlx.core", "mlx_lm", "mcp", "transformers", "huggingface_hub"})


def test_ctrl_c_ends_a_download_with_130_and_keeps_what_came(
    online: dict[str, str], server: LoopbackHub, home: Path
) -> None:
    server.hold_after["model.safetensors"] = 1_000_000
    command = [sys.executable, "-m", "mcp_local_llm", "pull", NAME]
    process = subprocess.Popen(
        command,
        env=online,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job hands an ignored SIGINT on to its children, these tests among them.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert server.held.wait(WAIT_S)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=WAIT_S)
    server.go.set()
    assert process.returncode == 130
    # On a busy machine, a line of progress may have come before.
    assert errors.endswith("mcp-local-llm: interrupted\n")
    assert list((home / ".cache" / "huggingface" / "hub").glob("models--*/blobs/*.incomplete"))
    assert run(online, "pull", NAME).returncode == 0


def test_progress_is_shown_on_a_terminal_and_the_answer_stays_clean(online: dict[str, str]) -> None:
    outer, inner = pty.openpty()
    command = [sys.executable, "-m", "mcp_local_llm", "pull", NAME]
    process = subprocess.Popen(
        command, env={**online, "TERM": "xterm"}, stdout=subprocess.PIPE, stderr=inner, text=True
    )
    os.close(inner)
    answer, _ = process.communicate(timeout=WAIT_S)
    shown = os.read(outer, 100_000).decode()
    os.close(outer)
    assert "downloading" in shown
    assert answer.startswith(f"{NAME} (1.8 MB) is in")


@pytest.mark.slow
def test_chat_reads_files_and_writes_its_own_words_to_stderr(environ: dict[str, str], tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "a.txt").write_text("Some text.\n")
    (project / ".env").write_text("TOKEN=planted\n")
    inside = {**environ, "CLAUDE_PROJECT_DIR": str(project)}
    asked = ("chat", "--seed", "2", "--template", "classify-logs", "-f", "a.txt", "-f", ".env", "--each-file")
    done = run(inside, *asked)
    assert done.returncode == 0
    answered, failed = map(json.loads, done.stdout.splitlines())
    assert (answered["file"], set(answered["answer"])) == ("a.txt", {"quote", "class"})
    assert (failed["file"], failed["error"]) == (".env", "secret")
    assert "2 files: " in done.stderr
    refused = run(inside, "chat", "Say hello.", "-f", ".env")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "secret" in refused.stderr
    assert "planted" not in done.stdout + done.stderr + refused.stderr
    cleaned = run(inside, "clean")
    assert cleaned.stdout.startswith("0 files, ")
