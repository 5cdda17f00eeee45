"""`launch` as a user sees it, with a stand-in in the agent's place: start, terminal, signals, exit code, `--print`."""

import json
import logging
import os
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Generator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from fcntl import ioctl
from pathlib import Path
from typing import Any, Self

import pytest

from mcp_local_llm.agents import claude_settings
from mcp_local_llm.agents.child import run_agent
from mcp_local_llm.agents.launch import Surroundings, launch
from mcp_local_llm.agents.printed import printed
from mcp_local_llm.agents.screen import log_held_back
from mcp_local_llm.app import App
from mcp_local_llm.doors.http import Address, InFlightAnswers, serving_at
from mcp_local_llm.values.errors import ConfigError, ContextLengthError, InvalidRequestError
from mcp_local_llm.values.launch_order import LaunchOrder
from tests.apps import many, opened
from tests.clients import WAIT_S
from tests.source import ROOT

STANDIN = Path(__file__).with_name("standin.py")
COMMAND = (sys.executable, "-m", "mcp_local_llm", "launch")


@pytest.fixture
def with_agents(environ: dict[str, str], home: Path) -> dict[str, str]:
    """The environment with a stand-in for each agent on the PATH, and logins that must not reach it."""
    folder = home / "bin"
    folder.mkdir()
    for name in ("claude", "codex", "opencode"):
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{STANDIN}" "$@"\n')
        (folder / name).chmod(0o755)
    return {**environ, "PATH": f"{folder}:/usr/bin:/bin", "PYTHONPATH": str(ROOT), "ANTHROPIC_API_KEY": "theirs"}


def record(home: Path) -> dict[str, Any]:
    return json.loads((home / "record.json").read_text())


class Terminal:
    """A program on a pseudo-terminal, which it controls."""

    def __init__(self, environ: Mapping[str, str], *arguments: str) -> None:
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            os.execve(COMMAND[0], [*COMMAND, *arguments], dict(environ))
        self._said = b""
        # The agent too: as long as it has the terminal, reading the screen waits.
        self._alarm = threading.Timer(WAIT_S, os.killpg, (self.pid, signal.SIGKILL))
        self._alarm.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._alarm.cancel()
        os.close(self.screen)

    def type(self, keys: str) -> None:
        os.write(self.screen, keys.encode())

    def until(self, words: str) -> str:
        """Read the screen up to these words; returns what stood before them."""
        while words.encode() not in self._said:
            try:
                self._said += os.read(self.screen, 65_536)
            except OSError:
                pytest.fail(f"{words!r} never came: {self._said.decode()[-2000:]}")
        before, _, self._said = self._said.partition(words.encode())
        return before.decode()

    def status(self) -> int:
        """Wait until the program ends or stops."""
        return os.waitpid(self.pid, os.WUNTRACED)[1]


def test_the_agent_has_the_terminal_its_keys_its_size_and_its_stops_and_its_exit_code_is_passed_on(
    with_agents: dict[str, str], home: Path
) -> None:
    with Terminal(with_agents, "claude", "--force", "-p", "hello") as terminal:
        lines = terminal.until("agent: ready")
        assert lines.count("mcp-local-llm: ") == 3
        terminal.type("\x03")
        terminal.until("agent: got SIGINT")
        ioctl(terminal.screen, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 90, 0, 0))
        terminal.until("agent: got SIGWINCH")
        terminal.type("ask\n")
        # One Ctrl-C is one signal, and the door is none the worse for it.
        assert "got SIGINT" not in terminal.until("agent: with the key 200, without 401")
        terminal.type("stop\n")
        assert os.WIFSTOPPED(terminal.status())
        os.killpg(terminal.pid, signal.SIGCONT)
        terminal.until("agent: continued")
        terminal.type("ask\nexit 5\n")
        terminal.until("agent: with the key 200")
        assert os.waitstatus_to_exitcode(terminal.status()) == 5
    assert record(home)["terminal"] is True
    assert record(home)["arguments"][-2:] == ["-p", "hello"]


@contextmanager
def piped(environ: Mapping[str, str], *arguments: str) -> Generator[subprocess.Popen[str]]:
    """Run `launch` without a terminal, up to the stand-in's first word."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    alarm = threading.Timer(WAIT_S, os.killpg, (process.pid, signal.SIGKILL))
    alarm.start()
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "agent: ready\n", process.stderr and process.stderr.read()
        yield process
    finally:
        alarm.cancel()
        process.kill()
        process.communicate()


def test_signals_of_this_process_alone_reach_the_agent(with_agents: dict[str, str]) -> None:
    with piped(with_agents, "claude", "--force") as process:
        assert process.stdout is not None
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            process.send_signal(number)
            assert process.stdout.readline() == f"agent: got {number.name}\n"
        assert process.wait(WAIT_S) == 9


@pytest.mark.parametrize(
    ("words", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 128 + 9), ("kill -15 $$", 128 + 15)]
)
async def test_what_ended_the_agent_is_the_exit_code(words: str, code: int) -> None:
    assert await run_agent(["/bin/sh", "-c", words], {}) == code


async def test_a_program_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    (tmp_path / "agent").write_text("no program")
    (tmp_path / "agent").chmod(0o755)
    with pytest.raises(ConfigError, match=r"agent cannot be started: Exec format error\."):
        await run_agent([str(tmp_path / "agent")], {})


@pytest.fixture
def around(with_agents: dict[str, str], home: Path) -> Surroundings:
    said = list[str]()
    return Surroundings(with_agents, home, home, said.append, lambda progress: None)


async def started(app: App, around: Surroundings, order: LaunchOrder) -> int:
    """Start an agent from this process, whose input is the null device."""

    def open_door(key: str) -> AbstractAsyncContextManager[str]:
        return serving_at(app.llm, Address("127.0.0.1", 0, key), InFlightAnswers())

    null, kept = os.open(os.devnull, os.O_RDONLY), os.dup(0)
    os.dup2(null, 0)
    try:
        return await launch(app.llm, order, around, open_door)
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(null)


async def test_an_agent_gets_the_doors_address_and_key_and_the_door_and_its_files_end_with_it(
    app: App, around: Surroundings, home: Path
) -> None:
    keys = set[str]()
    for _ in range(2):
        assert await started(app, around, LaunchOrder("claude", force=True, arguments=("-p", "a b"))) == 0
        told = record(home)
        keys.add(told["environ"]["ANTHROPIC_AUTH_TOKEN"])
        assert "ANTHROPIC_API_KEY" not in told["environ"]
        assert told["arguments"][-4:] == ["--model", "tiny", "-p", "a b"]
        (settings,) = told["files"]
        assert json.loads(told["files"][settings])["env"]["ANTHROPIC_BASE_URL"] == told["environ"]["ANTHROPIC_BASE_URL"]
        assert not Path(settings).parent.exists()
        port = int(told["environ"]["ANTHROPIC_BASE_URL"].rpartition(":")[2])
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
    assert len(keys) == 2
    assert min(map(len, keys)) >= 32


async def test_an_attached_process_starts_an_agent_too_and_loads_nothing(
    around: Surroundings, environ: dict[str, str], home: Path
) -> None:
    async with many() as apps:
        holder, attached = await apps.open(environ, home), await apps.open(environ, home)
        await holder.llm.set_model("tiny", lambda progress: None)
        assert await started(attached, around, LaunchOrder("claude", force=True)) == 0
        assert holder.llm.holds_model
        assert not attached.llm.holds_model
    assert record(home)["environ"]["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "512"


@pytest.mark.parametrize("name", ["tiny", "1"])
async def test_the_agent_is_told_the_models_whole_name(app: App, around: Surroundings, home: Path, name: str) -> None:
    await started(app, around, LaunchOrder("claude", model=name, force=True))
    assert record(home)["arguments"][-2:] == ["--model", "tiny"]


async def test_a_profile_is_named_as_such(environ: dict[str, str], around: Surroundings, home: Path) -> None:
    settings = home / ".config" / "mcp-local-llm" / "config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text('[profiles.calm]\nmodel = "tiny"\ntemperature = 0.1\n')
    async with opened(environ, home) as app:
        await started(app, around, LaunchOrder("claude", model="calm", force=True))
    assert record(home)["arguments"][-2:] == ["--model", "calm"]


@pytest.mark.parametrize(
    ("order", "error", "says"),
    [
        (LaunchOrder("claude"), ContextLengthError, r"cannot work with tiny: its window has 4,096 tokens"),
        (
            LaunchOrder("codex", small=True, force=True),
            InvalidRequestError,
            "Codex has one form only. Leave --small out.",
        ),
    ],
    ids=["window", "form"],
)
async def test_what_cannot_work_is_refused_before_the_agent_is_started(
    app: App, around: Surroundings, home: Path, order: LaunchOrder, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        await started(app, around, order)
    assert not (home / "record.json").exists()


@pytest.mark.parametrize(
    ("agent", "package"),
    [("claude", "@anthropic-ai/claude-code"), ("codex", "@openai/codex"), ("opencode", "opencode-ai")],
)
async def test_an_agent_that_is_not_here_is_told_with_the_way_to_install_it(
    app: App, around: Surroundings, home: Path, agent: Any, package: str
) -> None:
    (home / "bin" / agent).unlink()
    with pytest.raises(ConfigError, match=package):
        await started(app, around, LaunchOrder(agent))


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({"ANTHROPIC_BASE_URL": "https://gateway.example"}, True),
        ({"CLAUDE_CODE_USE_BEDROCK": 1}, True),
        ({"CLAUDE_CODE_USE_BEDROCK": "0", "EDITOR": "vi"}, False),
    ],
)
async def test_settings_of_an_administrator_that_fix_where_requests_go_are_refused(
    app: App,
    around: Surroundings,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, object],
    refused: bool,
) -> None:
    file = home / "managed-settings.json"
    file.write_text(json.dumps({"env": settings}))
    monkeypatch.setattr(claude_settings, "managed_file", lambda: file)
    order = LaunchOrder("claude", force=True)
    if refused:
        with pytest.raises(ConfigError, match=next(iter(settings))):
            await started(app, around, order)
    else:
        assert await started(app, around, order) == 0


async def test_claude_code_is_found_where_its_installers_put_it(app: App, around: Surroundings, home: Path) -> None:
    for folder in (".local/bin", ".claude/local"):
        (home / folder).mkdir(parents=True)
        shutil.move(home / "bin" / "claude", home / folder / "claude")
        assert await started(app, around, LaunchOrder("claude", force=True)) == 0
        shutil.move(home / folder / "claude", home / "bin" / "claude")
        shutil.rmtree(home / folder)


async def test_mcp_servers_that_are_left_out_are_told(app: App, around: Surroundings, home: Path) -> None:
    servers = {"local-llm": {"command": "mcp-local-llm"}, "github": {"command": "gh-mcp"}}
    (home / ".claude.json").write_text(json.dumps({"mcpServers": servers}))
    said = list[str]()
    told = Surroundings(around.environ, home, home, said.append, around.report)
    await started(app, told, LaunchOrder("claude", force=True))
    assert said[3:] == [
        "MCP servers of your settings are left out: local-llm, github. --keep-mcp keeps those of others."
    ]
    assert len(record(home)["files"]) == 1
    await started(app, told, LaunchOrder("claude", force=True, keep_mcp=True))
    assert said[7:] == ["MCP servers of your settings are left out: local-llm."]
    (file,) = (text for text in record(home)["files"].values() if "mcpServers" in text)
    assert json.loads(file) == {"mcpServers": {"github": {"command": "gh-mcp"}}}


@pytest.mark.parametrize("agent", ["claude", "codex", "opencode"])
async def test_print_shows_commands_without_a_key_and_files_that_only_the_user_reads(
    app: App, around: Surroundings, home: Path, agent: Any
) -> None:
    text = await printed(app.llm, LaunchOrder(agent, force=True, arguments=("-p", "a b")), around, COMMAND[:3])
    serve, start = text.splitlines()
    folder = home / ".local" / "state" / "mcp-local-llm" / "launch"
    key = (folder / "key").read_text()
    assert key not in text
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {"0o600"}
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    (port,) = re.findall(r"--port (\d+)", serve)
    assert f"http://127.0.0.1:{port}" in start
    assert start.endswith("-p 'a b'")
    assert (await app.llm.status()).state == "unloaded"


def test_the_printed_commands_work_one_after_the_other(with_agents: dict[str, str], home: Path) -> None:
    shown = subprocess.run(
        [*COMMAND, "claude", "--force", "--print", "--", "--verbose"],
        env=with_agents,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    assert shown.returncode == 0, shown.stderr
    serve, start = shown.stdout.splitlines()
    served = subprocess.Popen(["sh", "-c", f"exec env {serve}"], env=with_agents, stderr=subprocess.PIPE, text=True)
    alarm = threading.Timer(WAIT_S, served.kill)
    alarm.start()
    try:
        assert served.stderr is not None
        assert "serving http://127.0.0.1:" in served.stderr.readline()
        words = "ask\nexit 3\n"
        done = subprocess.run(
            ["sh", "-c", start], env=with_agents, input=words, capture_output=True, text=True, timeout=WAIT_S
        )
    finally:
        alarm.cancel()
        served.terminate()
        served.communicate()
    assert (done.returncode, done.stdout.splitlines()[-1]) == (3, "agent: with the key 200, without 401"), done.stderr
    assert record(home)["arguments"][-1] == "--verbose"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [((), "Missing argument"), (("emacs",), "emacs"), (("claude", "--model", "no-such"), "no-such")],
)
def test_a_wrong_order_ends_with_2_and_says_why(
    with_agents: dict[str, str], arguments: tuple[str, ...], says: str
) -> None:
    done = subprocess.run(
        [*COMMAND, *arguments],
        env=with_agents,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_the_log_waits_until_the_agent_has_left_the_screen(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    screen, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        with log_held_back():
            logging.getLogger("mcp_local_llm").warning("a request was odd")
            assert not caplog.records
    os.close(screen)
    assert caplog.messages == ["a request was odd"]
