"""`launch claude --subagents-local` as a user sees it, with a stand-in for Claude Code, and where its requests go."""

import json
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from mcp_local_llm.agents import claude_settings
from mcp_local_llm.agents.beside import beside_start
from mcp_local_llm.agents.claude_settings import OTHER_WAYS, claude_environ
from mcp_local_llm.values.errors import ConfigError
from tests.client_programs.scripted_claude import ScriptedClaude, scripted_claude, text
from tests.clients import WAIT_S
from tests.source import ROOT

API = "https://api.anthropic.com"
COMMAND = (sys.executable, "-m", "mcp_local_llm", "launch")
STANDIN = """
import json, os, sys, urllib.error, urllib.request
def ask(model):
    body = {"model": model, "max_tokens": 20, "messages": [{"role": "user", "content": "How many legs has a bird?"}]}
    headers = {"content-type": "application/json", "x-api-key": os.environ["ANTHROPIC_API_KEY"]}
    url = os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages?beta=true"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as answer:
            return [answer.status, answer.read().decode()]
    except urllib.error.HTTPError as error:
        return [error.code, error.read().decode()]
files = {word: open(word).read() for word in sys.argv[1:] if word.startswith("/") and os.path.isfile(word)}
print(json.dumps({"arguments": sys.argv[1:], "environ": dict(os.environ), "files": files}), flush=True)
for line in sys.stdin:
    word, _, rest = line.strip().partition(" ")
    if word == "exit":
        sys.exit(int(rest))
    print(json.dumps(ask(rest)), flush=True)
"""


@pytest.fixture
def with_claude(environ: dict[str, str], home: Path) -> dict[str, str]:
    """The environment with a stand-in for Claude Code on the PATH, a login, and a proxy that nobody answers at."""
    folder = home / "bin"
    folder.mkdir()
    (folder / "standin.py").write_text(STANDIN)
    (folder / "claude").write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{folder}/standin.py" "$@"\n')
    (folder / "claude").chmod(0o755)
    closed = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "intra.test"}
    own = {"PATH": f"{folder}:/usr/bin:/bin", "PYTHONPATH": str(ROOT), "ANTHROPIC_API_KEY": "theirs"}
    return {**environ, **closed, **own}


class Launched:
    """A launch whose agent obeys words on its input."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def told(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def ask(self, model: str) -> tuple[int, str]:
        """Let the agent ask a model."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"ask {model}\n")
        self.process.stdin.flush()
        status, body = self.told()
        return status, body

    def children(self) -> dict[str, psutil.Process]:
        """The forwarder and the local model's server."""
        found = psutil.Process(self.process.pid).children()
        words = {"forwarder": "mcp_local_llm.agents.forwarder", "server": "--until-stdin-ends"}
        return {name: one for name, word in words.items() for one in found if word in one.cmdline()}


@contextmanager
def launched(environ: Mapping[str, str], *arguments: str) -> Generator[Launched]:
    with subprocess.Popen(
        [*COMMAND, "claude", "--subagents-local", *arguments],
        env=dict(environ),
        cwd=environ["HOME"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Launched(process)
        finally:
            process.kill()


@pytest.fixture
def api() -> Generator[ScriptedClaude]:
    with scripted_claude(lambda request: text("From the API.")) as api:
        yield api


def test_the_agent_runs_with_its_own_login_and_each_request_goes_where_its_model_is(
    with_claude: dict[str, str], home: Path, api: ScriptedClaude
) -> None:
    settings = home / ".claude" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"env": {"ANTHROPIC_BASE_URL": f"{api.url}/"}}))
    before = settings.read_text()
    with launched(with_claude, "--model", "tiny", "--", "-p", "hello") as run:
        told = run.told()
        children = run.children()
        for model in ("local-llm", "tiny"):
            status, body = run.ask(model)
            assert (status, json.loads(body)["type"]) == (200, "message")
        assert api.requests == []
        status, body = run.ask("claude-opus-5-5")
        assert status == 200
        assert "From the API." in body
        assert run.process.stdin is not None
        run.process.stdin.write("exit 5\n")
        run.process.stdin.close()
        assert run.process.wait(WAIT_S) == 5
        assert run.process.stderr is not None
        said = run.process.stderr.read()
    assert set(children) == {"forwarder", "server"}
    assert not any(child.is_running() for child in children.values())
    assert f"all others go to {api.url} unchanged" in said
    assert "agent files with `model: local-llm` are answered by tiny" in said
    assert told["arguments"][-2:] == ["-p", "hello"]
    assert "local-reader" in json.loads(told["arguments"][told["arguments"].index("--agents") + 1])
    seen = told["environ"]
    assert seen["ANTHROPIC_API_KEY"] == "theirs"
    assert seen["NO_PROXY"] == seen["no_proxy"]
    assert {"intra.test", "127.0.0.1"} <= set(seen["NO_PROXY"].split(","))
    assert "ANTHROPIC_AUTH_TOKEN" not in seen
    (given,) = told["files"].values()
    assert json.loads(given)["env"]["ANTHROPIC_BASE_URL"] == seen["ANTHROPIC_BASE_URL"]
    assert not Path(next(iter(told["files"]))).exists()
    assert settings.read_text() == before
    assert len(api.requests) == 1


def test_a_local_model_whose_process_is_killed_takes_nothing_else_with_it(
    with_claude: dict[str, str], api: ScriptedClaude
) -> None:
    with launched({**with_claude, "ANTHROPIC_BASE_URL": api.url}) as run:
        run.told()
        server = run.children()["server"]
        server.kill()
        server.wait(WAIT_S)
        status, body = run.ask("local-llm")
        assert (status, json.loads(body)["error"]["type"]) == (503, "api_error")
        status, body = run.ask("claude-opus-5-5")
        assert status == 200
        assert run.process.stdin is not None
        run.process.stdin.write("exit 0\n")
        run.process.stdin.close()
        assert run.process.wait(WAIT_S) == 0
        assert run.process.stderr is not None
        assert "the local model was gone before Claude Code ended" in run.process.stderr.read()


def test_a_launcher_that_is_killed_leaves_no_process_behind(with_claude: dict[str, str], api: ScriptedClaude) -> None:
    with launched({**with_claude, "ANTHROPIC_BASE_URL": api.url}) as run:
        run.told()
        children = run.children()
        run.process.send_signal(signal.SIGKILL)
        for child in children.values():
            child.wait(WAIT_S)
    assert set(children) == {"forwarder", "server"}


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        (["codex", "--subagents-local"], {}, "--subagents-local is for claude"),
        (["claude", "--subagents-local", "--small"], {}, "--small cannot be used with --subagents-local"),
        (["claude", "--subagents-local", "--print"], {}, "--print shows nothing of --subagents-local"),
        (["claude", "--subagents-local"], {"CLAUDE_CODE_USE_BEDROCK": "1"}, "CLAUDE_CODE_USE_BEDROCK is set"),
        (["claude", "--subagents-local"], {"ANTHROPIC_BASE_URL": "api.test"}, "ANTHROPIC_BASE_URL"),
        (["claude", "--subagents-local"], {"NODE_EXTRA_CA_CERTS": "/none.pem"}, "NODE_EXTRA_CA_CERTS"),
    ],
)
def test_what_cannot_work_is_refused_before_the_agent_starts(
    arguments: list[str], variables: dict[str, str], words: str, with_claude: dict[str, str]
) -> None:
    done = subprocess.run(
        [*COMMAND, *arguments], env={**with_claude, **variables}, capture_output=True, text=True, timeout=WAIT_S
    )
    assert words in done.stderr
    assert done.returncode in (1, 2)
    assert done.stdout == ""


def written(file: Path, **variables: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"// mine\n{json.dumps({'env': variables})}")
    return file


def test_the_users_settings_stand_above_the_environment_as_in_claude_code(home: Path) -> None:
    environ = {"ANTHROPIC_BASE_URL": "https://a.test", "HTTPS_PROXY": "http://a.test", "HOME": str(home)}
    assert claude_environ(environ, home, home / "work") == environ
    written(home / ".claude.json", ANTHROPIC_BASE_URL="https://b.test", HTTPS_PROXY="http://b.test")
    written(home / ".claude" / "settings.json", ANTHROPIC_BASE_URL="https://c.test", NODE_EXTRA_CA_CERTS="/c.pem")
    found = claude_environ(environ, home, home / "work")
    assert (found["ANTHROPIC_BASE_URL"], found["HTTPS_PROXY"]) == ("https://c.test", "http://b.test")
    assert found["NODE_EXTRA_CA_CERTS"] == "/c.pem"
    written(home / "other" / "settings.json", ANTHROPIC_BASE_URL="https://d.test")
    moved = {**environ, "CLAUDE_CONFIG_DIR": str(home / "other")}
    assert claude_environ(moved, home, home / "work")["ANTHROPIC_BASE_URL"] == "https://d.test"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"env": []}', '{"env": {"ANTHROPIC_BASE_URL": null}}'])
def test_a_broken_settings_file_counts_as_empty(text: str, home: Path) -> None:
    (home / ".claude").mkdir()
    (home / ".claude" / "settings.json").write_text(text)
    assert claude_environ({"A": "b"}, home, home) == {"A": "b"}


@pytest.mark.parametrize("name", ["settings.json", "settings.local.json"])
def test_a_project_does_not_decide_where_the_users_login_goes(name: str, home: Path) -> None:
    file = written(home / "work" / ".claude" / name, ANTHROPIC_BASE_URL="https://project.test")
    with pytest.raises(ConfigError, match=str(file)):
        claude_environ({}, home, home / "work")
    agreed = {"ANTHROPIC_BASE_URL": "https://project.test"}
    assert claude_environ(agreed, home, home / "work") == agreed


def test_an_address_of_the_administrator_is_not_passed_by(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(home / "managed.json", ANTHROPIC_BASE_URL="https://managed.test")
    monkeypatch.setattr(claude_settings, "managed_file", lambda: file)
    with pytest.raises(ConfigError, match="managed"):
        claude_environ({}, home, home / "work")


@pytest.mark.parametrize("name", OTHER_WAYS)
def test_another_way_to_a_model_is_refused_by_its_name(name: str, home: Path) -> None:
    with pytest.raises(ConfigError, match=name):
        claude_environ({name: "1"}, home, home)
    assert claude_environ({name: "0"}, home, home) == {name: "0"}


@pytest.mark.parametrize(("upstream", "first_party"), [(API, True), (f"{API}/", True), ("https://gateway.test", False)])
def test_claude_code_keeps_the_features_of_the_api_that_it_had(upstream: str, first_party: bool) -> None:
    start = beside_start("http://127.0.0.1:1/key", upstream, {"NO_PROXY": "a.test, b.test"}, ())
    assert ("_CLAUDE_CODE_ASSUME_FIRST_PARTY_BASE_URL" in start.environ) is first_party
    assert start.environ["NO_PROXY"] == start.environ["no_proxy"]
    assert start.environ["NO_PROXY"].startswith("a.test, b.test,")
    assert "127.0.0.1" in start.environ["NO_PROXY"]
