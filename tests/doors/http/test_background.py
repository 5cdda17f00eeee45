"""The standing service: what its files say, and that they come and go."""

import os
import platform
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_local_llm.doors.cli import login_service
from mcp_local_llm.values.errors import ConfigError
from tests.clients import WAIT_S

HOME = Path("/home/me")
COMMAND = ["/opt/a b/python", "-m", "mcp_local_llm", "serve", "--model", 'of "50%" $HOME\\']
SET = {
    "HF_HOME": "/models",
    "HF_TOKEN": "secret-1",
    "MCP_LOCAL_LLM_API_KEY": "secret-2",
    "MCP_LOCAL_LLM_FORCE": "1",
    "PATH": "/bin",
}


def test_a_launch_agent_is_interactive_and_comes_back_only_after_a_crash() -> None:
    service = login_service("Darwin", HOME, SET, COMMAND, 501)
    assert service.file == HOME / "Library" / "LaunchAgents" / "mcp-local-llm.serve.plist"
    agent = plistlib.loads(service.content)
    assert agent["Label"] == "mcp-local-llm.serve"
    assert agent["ProgramArguments"] == COMMAND
    assert agent["ProcessType"] == "Interactive"
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert agent["RunAtLoad"] is True
    assert agent["EnvironmentVariables"] == {"HF_HOME": "/models", "MCP_LOCAL_LLM_FORCE": "1"}
    logs = HOME / "Library" / "Logs" / "mcp-local-llm"
    assert agent["StandardErrorPath"] == agent["StandardOutPath"] == str(logs / "serve.log")
    assert service.folders == (logs,)
    assert service.start == (("launchctl", "bootstrap", "gui/501", str(service.file)),)
    assert service.stop == (("launchctl", "bootout", "gui/501/mcp-local-llm.serve"),)


def test_a_user_unit_quotes_its_command_and_comes_back_only_after_a_crash() -> None:
    service = login_service("Linux", HOME, SET, COMMAND, 1000)
    assert service.file == HOME / ".config" / "systemd" / "user" / "mcp-local-llm.service"
    lines = service.content.decode().splitlines()
    assert r'ExecStart="/opt/a b/python" "-m" "mcp_local_llm" "serve" "--model" "of \"50%%\" $$HOME\\"' in lines
    assert 'Environment="HF_HOME=/models"' in lines
    assert {"Restart=on-failure", "RestartPreventExitStatus=2", "WantedBy=default.target"} <= set(lines)
    assert service.start[-1] == ("systemctl", "--user", "enable", "--now", "mcp-local-llm.service")


@pytest.mark.parametrize("system", ["Darwin", "Linux"])
def test_no_secret_is_written_into_a_file(system: str) -> None:
    assert b"secret" not in login_service(system, HOME, SET, COMMAND, 501).content


def test_another_system_has_no_service() -> None:
    with pytest.raises(ConfigError, match="Plan9"):
        login_service("Plan9", HOME, SET, COMMAND, 501)


def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not on this machine")
    command = [sys.executable, "-m", "mcp_local_llm", "serve", "--model", 'of "50%" $HOME\\']
    unit = tmp_path / "mcp-local-llm.service"
    unit.write_bytes(login_service("Linux", HOME, SET, command, 1000).content)
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def run(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mcp_local_llm", "serve", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=WAIT_S, check=False)


def written(home: Path) -> list[Path]:
    """The file of the service, as far as it is there."""
    return [*home.glob("Library/LaunchAgents/*"), *home.glob(".config/systemd/user/*")]


def test_install_writes_the_file_and_tells_how_to_start_it(environ: dict[str, str], home: Path) -> None:
    done = run(environ, "--install", "--port", "4321", "--idle-minutes", "5")
    assert (done.returncode, done.stderr) == (0, "")
    (file,) = written(home)
    assert f"{file} is written." in done.stdout
    assert "Start it with: " in done.stdout
    content = file.read_text()
    assert all(word in content for word in (sys.executable, "4321", "--idle-minutes"))
    done = run(environ, "--uninstall")
    assert (done.returncode, written(home)) == (0, [])
    assert "stop it with: " in done.stdout
    assert "nothing to remove" in run(environ, "--uninstall").stdout


def everything(home: Path) -> dict[Path, bytes | None]:
    """Every file and folder of a home, with its content."""
    return {path: path.read_bytes() if path.is_file() else None for path in home.rglob("*") if path.name != "calls"}


def with_manager(environ: dict[str, str], home: Path, script: str) -> dict[str, str]:
    """An environment with a service manager of our own that notes its calls in `calls`."""
    programs = home / "programs"
    programs.mkdir(exist_ok=True)
    name = "launchctl" if platform.system() == "Darwin" else "systemctl"
    fake = programs / name
    fake.write_text(f'#!/bin/sh\necho "$@" >> "{home}/calls"\n{script}\n')
    fake.chmod(0o755)
    return {**environ, "PATH": f"{programs}{os.pathsep}{environ['PATH']}"}


def test_now_also_starts_and_stops_it(environ: dict[str, str], home: Path) -> None:
    there = with_manager(environ, home, "exit 0")
    before = everything(home)
    done = run(there, "--install", "--now")
    assert (done.returncode, "the service runs" in done.stdout) == (0, True)
    assert len(written(home)) == 1
    assert run(there, "--uninstall", "--now").returncode == 0
    assert written(home) == []
    assert set(everything(home)) >= set(before)
    calls = (home / "calls").read_text()
    assert ("bootout" if platform.system() == "Darwin" else "disable --now") in calls


FAILING = {
    "it answers nothing": "exit 1",
    "it enables and cannot start": (
        'case "$*" in *enable*) mkdir -p "$HOME/.config/systemd/user/default.target.wants";'
        ' ln -s ../mcp-local-llm.service "$HOME/.config/systemd/user/default.target.wants/"; exit 1;; esac; exit 0'
    ),
}


@pytest.mark.parametrize("script", FAILING.values(), ids=FAILING)
def test_where_the_service_manager_is_out_of_reach_nothing_is_left_behind(
    environ: dict[str, str], home: Path, script: str
) -> None:
    if platform.system() == "Darwin" and "enable" in script:
        pytest.skip("systemd alone enables by links")
    there = with_manager(environ, home, script)
    before = everything(home)
    done = run(there, "--install", "--now")
    assert done.returncode == 2
    assert "Nothing is left behind." in done.stderr
    assert done.stdout == ""
    assert everything(home) == before


def test_without_a_service_manager_nothing_is_left_behind_either(environ: dict[str, str], home: Path) -> None:
    before = everything(home)
    done = run({**environ, "PATH": "/nowhere"}, "--install", "--now")
    assert (done.returncode, "is not on this machine" in done.stderr) == (2, True)
    assert everything(home) == before


def test_an_installation_that_cannot_be_renewed_or_stopped_stays_as_it_was(environ: dict[str, str], home: Path) -> None:
    assert run(environ, "--install", "--port", "1").returncode == 0
    there = with_manager(environ, home, "exit 1")
    before = everything(home)
    renewed = run(there, "--install", "--now", "--port", "2")
    assert (renewed.returncode, "earlier one is there again" in renewed.stderr) == (2, True)
    stopped = run(there, "--uninstall", "--now")
    # What could not be stopped is not forgotten.
    assert (stopped.returncode, "without --now" in stopped.stderr) == (2, True)
    assert everything(home) == before
    assert run(there, "--uninstall").returncode == 0
    assert written(home) == []


@pytest.mark.parametrize("arguments", [("--install", "--uninstall"), ("--now",), ("--port", "70000")])
def test_what_does_not_go_together_is_refused(environ: dict[str, str], home: Path, arguments: tuple[str, ...]) -> None:
    assert run(environ, *arguments).returncode == 2
    assert written(home) == []


def test_a_server_over_stdio_knows_no_web_server(environ: dict[str, str]) -> None:
    code = "import sys, mcp_local_llm.app; print({'uvicorn', 'starlette', 'httpx', 'typer'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=WAIT_S, check=True
    )
    assert done.stdout == "set()\n"
