"""`mcp-local-llm doctor` as people run it: a real process in a private home that it leaves as it was."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mcp_local_llm import __version__
from mcp_local_llm.residency.lease import Lease
from tests.clients import WAIT_S
from tests.doctor.servers import Script, models, serving
from tests.doors.http.test_serve import serve
from tests.model_cache import place_tiny, write

NAME = "acme/tiny-4bit"
SECRET = "sk-not-to-be-seen"
HOLD = """
import sys
from pathlib import Path
from mcp_local_llm.residency.lease import Lease
print(Lease(Path(sys.argv[1])).take("9.9.9"), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def environ(environ: dict[str, str], home: Path) -> dict[str, str]:
    """A private home with one model and no programs but Python's."""
    place_tiny(home / ".cache" / "huggingface" / "hub", NAME)
    return {**environ, "PATH": str(Path(sys.executable).parent)}


def doctor(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mcp_local_llm", "doctor", *arguments]
    return subprocess.run(command, env=environ, cwd=environ["HOME"], capture_output=True, text=True, timeout=WAIT_S)


@pytest.mark.parametrize("before", ["ulimit -n 64", "/bin/mkdir gone && cd gone && /bin/rmdir ../gone"])
def test_what_keeps_no_model_from_loading_is_no_problem_of_the_engine(environ: dict[str, str], before: str) -> None:
    line = f"{before} && exec {sys.executable} -m mcp_local_llm doctor --json --ports none"
    command = ["/bin/sh", "-c", line]
    done = subprocess.run(
        command, env=environ, cwd=environ["HOME"], capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert done.stderr == ""
    told = json.loads(done.stdout)["findings"]
    assert "ok" in [finding["verdict"] for finding in told if finding["name"] == "engine"]
    assert [finding for finding in told if finding["name"] == "engine" and finding["verdict"] == "problem"] == []


def findings(environ: dict[str, str], ports: str = "none") -> dict[str, list[dict[str, str]]]:
    """What it tells as JSON, by name."""
    done = doctor(environ, "--json", "--ports", ports)
    assert done.stderr == ""
    told: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == any(finding["verdict"] == "problem" for finding in told["findings"])
    by_name: dict[str, list[dict[str, str]]] = {}
    for finding in told["findings"]:
        by_name.setdefault(finding["name"], []).append(finding)
    return by_name


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.lstat().st_mtime_ns, path.lstat().st_size)
        for path in sorted(folder.rglob("*"))
    }


def test_a_sound_machine_ends_with_0_and_nothing_is_written(environ: dict[str, str], home: Path) -> None:
    before = tree(home)
    done = doctor(environ, "--ports", "none")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    first, *_, last = done.stdout.splitlines()
    assert first.startswith(f"ok       versions: mcp-local-llm {__version__}, Python ")
    assert last.startswith("Nothing is wrong; notes: ")
    assert f"ok       choice: none saved; a chat uses {NAME}." in done.stdout
    assert all(line.startswith(("ok ", "note ", "problem ", "   ")) for line in done.stdout.splitlines()[:-1])
    assert tree(home) == before
    assert not Path(environ["XDG_RUNTIME_DIR"]).exists()


def test_a_choice_that_is_gone_ends_with_1_and_says_what_to_do(environ: dict[str, str], home: Path) -> None:
    write(home / ".config" / "mlx-mcp" / "active_model", "acme/gone\n")
    done = doctor(environ, "--ports", "none")
    assert done.returncode == 1
    assert "problem  choice: saved: acme/gone; No model here is called" in done.stdout
    assert "mcp-local-llm use NAME" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Problems that need you: 1; ")


def test_wrong_settings_are_a_finding_and_the_rest_is_still_told(environ: dict[str, str], home: Path) -> None:
    write(home / ".config" / "mcp-local-llm" / "config.toml", f'api_key = "{SECRET} x"\nmodell = "x"\n')
    done = doctor(environ, "--ports", "none")
    assert done.returncode == 1
    assert "there is no setting 'modell'" in done.stdout
    assert f"models: {NAME}" in done.stdout
    assert SECRET not in done.stdout + done.stderr


def test_secrets_are_never_shown(environ: dict[str, str], home: Path) -> None:
    script = Script({"/v1/models": (401, {"error": {"message": f"wrong key {SECRET}"}})})
    with serving(script) as port:
        write(
            home / ".config" / "mcp-local-llm" / "config.toml",
            f'api_key = "{SECRET}"\n[[endpoints]]\nname = "box"\nurl = "http://127.0.0.1:{port}/v1"\n'
            'api_key_env = "BOX_KEY"\n',
        )
        secrets = {**environ, "BOX_KEY": SECRET, "HF_TOKEN": SECRET, "HF_ENDPOINT": f"https://u:{SECRET}@hub.example"}
        done = doctor(secrets, "--ports", f"{port}")
        told = findings(secrets, f"{port}")
    assert SECRET not in done.stdout + done.stderr + json.dumps(told)
    assert "api_key = set, not shown" in done.stdout
    assert "refused the key" in told["endpoint"][0]["text"]
    assert told["endpoint"][0]["verdict"] == "problem"


@pytest.mark.slow
def test_a_server_on_a_port_is_named_with_the_lines_for_the_settings(environ: dict[str, str], home: Path) -> None:
    answers = {"/v1/models": (200, models("qwen3:4b")), "/api/version": (200, {"version": "0.13.0"})}
    config = home / ".config" / "mcp-local-llm" / "config.toml"
    with serving(Script(answers)) as port:
        (server,) = findings(environ, f"{port}")["server"]
        assert "Ollama answers on port" in server["text"]
        heading, _, lines = server["advice"].partition("\n")
        assert str(config) in heading
        assert not config.exists()
        write(config, lines)
        told = findings(environ, f"{port}")
    assert told["endpoint"][0]["text"] == f"ollama (http://127.0.0.1:{port}/v1) answers; it has qwen3:4b"
    assert "the settings know it as ollama" in told["server"][0]["text"]
    assert told["server"][0]["verdict"] == "ok"
    (asleep,) = findings(environ)["endpoint"]
    assert (asleep["verdict"], "cannot be reached" in asleep["text"]) == ("note", True)


@pytest.mark.slow
def test_our_own_server_is_known_although_it_wants_a_key(environ: dict[str, str], home: Path) -> None:
    config = home / ".config" / "mcp-local-llm" / "config.toml"
    with serve({**environ, "MCP_LOCAL_LLM_API_KEY": SECRET}) as served:
        port = served.url.removesuffix("/v1").rpartition(":")[2]
        (server,) = findings(environ, port)["server"]
        assert "`mcp-local-llm serve` answers" in server["text"]
        assert "wants a key" in server["text"]
        write(config, server["advice"].partition("\n")[2])
        told = findings({**environ, "LOCAL_LLM_KEY": SECRET}, port)
    assert (told["endpoint"][0]["verdict"], f"it has {NAME}" in told["endpoint"][0]["text"]) == ("ok", True)
    assert "the settings know it as mcp-local-llm" in told["server"][0]["text"]
    assert len(told["settings"]) == 1


def test_what_a_server_calls_its_models_cannot_steer_a_terminal(environ: dict[str, str]) -> None:
    with serving(Script({"/v1/models": (200, models("evil\x1b[2J\r"))})) as port:
        done = doctor(environ, "--ports", f"{port}")
    assert "evil" in done.stdout
    assert "\x1b" not in done.stdout


def test_the_process_that_holds_the_model_is_named_when_it_says_nothing(environ: dict[str, str]) -> None:
    folder = Path(environ["XDG_RUNTIME_DIR"]) / "mcp-local-llm"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        (told,) = findings(environ)["sharing"]
        holder.kill()
    assert told["verdict"] == "problem"
    assert f"process {holder.pid} (version 9.9.9), which does not answer" in told["text"]
    assert not Lease(folder).elsewhere()


def test_a_runtime_folder_that_others_may_enter_is_a_problem(environ: dict[str, str]) -> None:
    folder = Path(environ["XDG_RUNTIME_DIR"]) / "mcp-local-llm"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    (told,) = findings(environ)["sharing"]
    assert (told["verdict"], "open to other users" in told["text"]) == ("problem", True)
    assert folder.stat().st_mode & 0o777 == 0o755


@pytest.mark.slow
def test_claude_code_is_told_from_its_program_and_its_settings(environ: dict[str, str], home: Path) -> None:
    program = home / "bin" / "claude"
    write(program, "#!/bin/sh\nexit 9\n")
    program.chmod(0o700)
    known = {**environ, "PATH": f"{program.parent}{os.pathsep}{environ['PATH']}"}
    (told,) = findings(known)["Claude Code"]
    assert told["advice"] == "Run `claude mcp add --scope user local-llm -- mcp-local-llm`."
    write(home / ".claude.json", json.dumps({"mcpServers": {"local-llm": {"command": "mcp-local-llm"}}, "x": SECRET}))
    (told,) = findings(known)["Claude Code"]
    assert (told["verdict"], told["text"]) == ("ok", f"{home / '.claude.json'} starts this server")


@pytest.mark.parametrize("ports", ["", "x", "0", "65536", "80;81", "none,1"])
def test_wrong_ports_are_a_wrong_request(environ: dict[str, str], ports: str) -> None:
    done = doctor(environ, "--ports", ports)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--ports takes numbers" in done.stderr


def test_it_imports_no_engine(environ: dict[str, str]) -> None:
    code = (
        "import json, os, sys; sys.argv = ['mcp-local-llm', 'doctor', '--ports', 'none']; real = os._exit;"
        "os._exit = lambda code: (sys.stderr.write(json.dumps([*sys.modules])), sys.stderr.flush(), real(code));"
        "from mcp_local_llm.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, cwd=environ["HOME"], capture_output=True, text=True, timeout=WAIT_S
    )
    assert set(json.loads(done.stderr)).isdisjoint({"mlx", "mlx.core", "mlx_lm", "transformers", "mcp"})
