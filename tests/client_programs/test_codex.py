"""Codex against `serve`: answers, tool calls of each kind, turns, compaction, overflow, silence, and going away.

Its prompt has ten thousand characters, so the model is one with a long window that recites what the test wants.
"""

import json
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.behaviour.reciting_model import WINDOW, Script, cut, write_reciting_model
from tests.client_programs.test_client_programs import INSTALLED, LONG_WAIT_S
from tests.clients import WAIT_S, private_environ
from tests.doors.http.test_serve import serve

PLATFORM = INSTALLED / "node" / "node_modules" / "@openai" / "codex-linux-x64" / "vendor" / "x86_64-unknown-linux-musl"
CODEX = PLATFORM / "bin" / "codex"

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(not CODEX.exists(), reason="The locked Codex is that of Linux on x64."),
]

MODEL = "reciting"
IDLE_MS, SILENCE_S = 7_000, 11
"""Codex gives a silent stream up after the first; a heartbeat comes every five seconds, so the second is bridged."""
TURNS = 20


def written_call(name: str, **arguments: Any) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


CAT = written_call("exec_command", cmd="cat notes.txt")
TORN = 'I try.\n<tool_call>\n{"name": "exec_command", "arguments": {"cmd": "ca'
SCRIPTS = {
    "PLAIN": Script(cut("Ten legs.")),
    "SHELL": Script(cut(f"I run it.\n{CAT}")),
    "THINK": Script(cut(f"<think>\nI need the file.\n</think>\n\nI run it.\n{CAT}")),
    "BOTH": Script(cut(f"{CAT}\n{written_call('exec_command', cmd='echo two')}")),
    "UNKNOWN": Script(cut(written_call("shell", cmd="ls"))),
    "WRONG": Script(cut(written_call("exec_command", command="ls"))),
    "TORN": Script(cut(TORN)),
    "AGENT": Script(cut(written_call("wait_agent", targets=[]))),
    "ENDLESS": Script(("la ", "la\n"), ends=False),
    "SUMMARY": Script(cut("They asked about legs.")),
    "DONE": Script(cut("The file says: Buy milk.")),
}
CHOOSER = (
    "{%- set last = messages[-1] -%}{%- set ns = namespace(said='SUMMARY' if not tools else 'DONE') -%}"
    "{%- if tools and last.role == 'user' -%}{%- for name in openings -%}"
    "{%- if name in last.content -%}{%- set ns.said = name -%}{%- endif -%}{%- endfor -%}{%- endif -%}"
    "{%- set said = ns.said -%}{#- <tool_call> tool_call.name -#}"
)


@dataclass(frozen=True)
class Codex:
    """Codex before a server of ours.

    Attributes:
        url: where the server is.
        environ: its environment; the home is empty but for what it writes itself.
        folder: where it works.
    """

    url: str
    environ: dict[str, str]
    folder: Path

    def command(self, *arguments: str, window: int = WINDOW, **provider: Any) -> list[str]:
        """The command line that starts it with flags alone."""
        catalog = self.folder.parent / f"models-{window}.json"
        catalog.write_text(json.dumps({"models": [described(window)]}))
        values = {
            "model_provider": "local",
            "model": MODEL,
            "model_catalog_json": str(catalog),
            "web_search": "disabled",
            "model_providers.local.name": "local",
            "model_providers.local.base_url": self.url,
            "model_providers.local.wire_api": "responses",
            **{f"model_providers.local.{name}": value for name, value in provider.items()},
        }
        options = ["--skip-git-repo-check", "--json", "--dangerously-bypass-approvals-and-sandbox"]
        for name, value in values.items():
            options += ["-c", f"{name}={json.dumps(value)}"]
        for feature in ("goals", "apps", "plugins"):
            options += ["--disable", feature]
        return [str(CODEX), "exec", *options, "-c", "check_for_update_on_startup=false", *arguments]

    def run(self, *arguments: str, text: str = "", window: int = WINDOW, **provider: Any) -> "Told":
        """Run it to its end."""
        done = subprocess.run(
            self.command(*arguments, window=window, **provider),
            input=text,
            env=self.environ,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=LONG_WAIT_S,
            check=False,
        )
        return Told(done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr)

    @contextmanager
    def started(self, *arguments: str, text: str = "", **provider: Any) -> Generator[subprocess.Popen[str]]:
        """Run it beside the test."""
        process = subprocess.Popen(
            self.command(*arguments, **provider),
            env=self.environ,
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdin is not None
            process.stdin.write(text)
            process.stdin.close()
            process.stdin = None
            yield process
        finally:
            process.kill()
            process.communicate()

    def numbers(self) -> dict[str, float]:
        """The server's metrics."""
        lines = httpx.get(self.url.removesuffix("/v1") + "/metrics", timeout=WAIT_S).text.splitlines()
        rows = (line.removeprefix("mcp_local_llm_").rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in rows}

    def until(self, holds: Callable[[dict[str, float]], bool]) -> dict[str, float]:
        """Ask for the metrics until something holds of them."""
        end = time.monotonic() + WAIT_S
        while not holds(numbers := self.numbers()):
            assert time.monotonic() < end, numbers
        return numbers


@dataclass(frozen=True)
class Told:
    """What a run said."""

    code: int
    events: list[dict[str, Any]]
    errors: str = field(repr=False)

    def items(self, kind: str) -> list[dict[str, Any]]:
        found = [event["item"] for event in self.events if event["type"] == "item.completed"]
        return [item for item in found if item["type"] == kind]

    def texts(self) -> list[str]:
        return [item["text"] for item in self.items("agent_message")]

    def outputs(self) -> list[str]:
        return sorted(item["aggregated_output"] for item in self.items("command_execution"))

    def usage(self) -> dict[str, int]:
        """The tokens of the whole run."""
        assert self.code == 0, (self.events, self.errors)
        return self.events[-1]["usage"]


def described(window: int) -> dict[str, Any]:
    """The model as Codex's catalogue describes it."""
    return {
        "slug": MODEL,
        "display_name": MODEL,
        "context_window": window,
        "base_instructions": "You are a local coding agent. Be short.",
        "shell_type": "unified_exec",
        "visibility": "list",
        "supported_in_api": True,
        "priority": 1,
        "truncation_policy": {"mode": "bytes", "limit": 10_000},
        "input_modalities": ["text"],
        "support_verbosity": False,
        "default_verbosity": None,
        "supports_parallel_tool_calls": True,
        "supports_reasoning_summaries": False,
        "supported_reasoning_levels": [],
        "experimental_supported_tools": [],
    }


@pytest.fixture(scope="module")
def codex(tmp_path_factory: pytest.TempPathFactory) -> Generator[Codex]:
    """One server for a module's tests, which answers one request at a time."""
    home, work = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("work") / "project"
    work.mkdir()
    (work / "notes.txt").write_text("Buy milk.\n")
    write_reciting_model(home / "models" / MODEL, SCRIPTS, chooser=CHOOSER)
    environ = private_environ(home)
    settings = {
        "MCP_LOCAL_LLM_FOLDERS": str(home / "models"),
        "MCP_LOCAL_LLM_BATCH_SIZE": "1",
        "MCP_LOCAL_LLM_MAX_GENERATION_TOKENS": str(WINDOW),
    }
    with serve({**environ, **settings}, "--model", MODEL) as served:
        yield Codex(served.url, environ, work)


def test_a_plain_answer(codex: Codex) -> None:
    told = codex.run("PLAIN")
    assert told.texts() == ["Ten legs."]
    assert told.usage()["output_tokens"] > 0


FILE = "The file says: Buy milk."
CALLS: dict[str, tuple[list[str], list[str], str]] = {
    "SHELL": (["I run it.", FILE], ["Buy milk.\n"], ""),
    "THINK": (["I run it.", FILE], ["Buy milk.\n"], ""),
    "BOTH": ([FILE], ["Buy milk.\n", "two\n"], ""),
    # Codex tells the model what was wrong, and the turn goes on.
    "UNKNOWN": ([FILE], [], "unsupported call: shell"),
    "WRONG": ([FILE], [], "failed to parse function arguments"),
    # What cannot be read as a call stays text.
    "TORN": ([TORN], [], ""),
    # Only a call that names its namespace comes so far.
    "AGENT": ([FILE], [], "agent ids must be non-empty"),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_are_made_and_the_turn_goes_on(codex: Codex, name: str) -> None:
    texts, outputs, error = CALLS[name]
    told = codex.run(name)
    assert (told.code, told.texts(), told.outputs()) == (0, texts, outputs), told.errors
    assert error in told.errors


def test_an_answer_in_the_form_that_is_asked_for(codex: Codex) -> None:
    schema = {"type": "object", "properties": {"legs": {"type": "integer", "enum": [10]}}, "required": ["legs"]}
    file = codex.folder.parent / "schema.json"
    file.write_text(json.dumps({**schema, "additionalProperties": False}))
    told = codex.run("--output-schema", str(file), "PLAIN")
    assert [json.loads(text) for text in told.texts()] == [{"legs": 10}]


def test_many_turns_of_a_session_compute_what_is_new_in_each(codex: Codex) -> None:
    thread = codex.run("PLAIN").events[0]["thread_id"]
    for turn in range(1, TURNS):
        before = codex.numbers()
        told = codex.run("resume", thread, f"Turn {turn}: PLAIN")
        assert told.texts() == ["Ten legs."]
        after = codex.numbers()
        read, cached = (after[name] - before[name] for name in ("prompt_tokens_total", "cached_tokens_total"))
        assert read - cached < 500


def test_a_conversation_that_grows_beyond_the_window_is_compacted_and_goes_on(codex: Codex) -> None:
    small = 20_000
    thread = codex.run("PLAIN", window=small).events[0]["thread_id"]
    before = codex.numbers()["requests_answered_total"]
    first = codex.run("resume", thread, "PLAIN " + "word " * 800, window=small)
    told = codex.run("resume", thread, "SHELL", window=small)
    assert first.texts() == ["Ten legs."]
    assert told.texts()[-1] == FILE
    # One for the first turn, two for the second, and the summary.
    assert codex.numbers()["requests_answered_total"] - before >= 4


def test_a_prompt_that_is_too_long_ends_the_turn_in_words_and_is_sent_once(codex: Codex) -> None:
    before = codex.numbers()["requests_total"]
    told = codex.run("-", text="word " * (WINDOW // 5))
    assert told.code != 0
    assert "ran out of room in the model's context window" in told.events[-1]["error"]["message"]
    assert codex.numbers()["requests_total"] == before + 1


@contextmanager
def busy(codex: Codex) -> Generator[Callable[[float], None]]:
    """Hold the only place for as long as the block lasts; what is yielded reads the answer for some seconds."""
    body = {"model": MODEL, "input": "ENDLESS", "tools": [{"name": "f"}], "stream": True}
    # A quick machine writes the 8,192 tokens of an answer that names no limit in the time of a silence.
    body |= {"max_output_tokens": 100_000, "repetition_limit": 0}
    with httpx.stream("POST", f"{codex.url}/responses", json=body, timeout=WAIT_S) as reply:
        chunks = reply.iter_bytes()
        codex.until(lambda numbers: numbers["requests_running"] == 1)

        def read(seconds: float) -> None:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                next(chunks)

        yield read


def test_a_long_wait_in_the_queue_is_bridged(codex: Codex) -> None:
    before = codex.numbers()["requests_total"]
    with ExitStack() as held:
        read = held.enter_context(busy(codex))
        with codex.started("PLAIN", stream_idle_timeout_ms=IDLE_MS, stream_max_retries=0) as process:
            codex.until(lambda numbers: numbers["requests_waiting"] == 1)
            read(SILENCE_S)
            held.close()
            out, errors = process.communicate(timeout=WAIT_S)
    assert "Ten legs." in out, errors
    assert codex.numbers()["requests_total"] == before + 2


GONE: dict[str, str] = {"while it decodes": "ENDLESS", "while it reads": "PLAIN"}


@pytest.mark.parametrize("when", GONE)
def test_a_client_that_is_killed_ends_its_answer(codex: Codex, when: str) -> None:
    before = codex.numbers()
    text = "word " * (WINDOW // 6) if when == "while it reads" else ""
    with codex.started("-", text=f"{text}\n{GONE[when]}") as process:
        codex.until(lambda numbers: numbers["requests_running"] == 1)
        if when == "while it decodes":
            # Its prompt is read within that time, because most of it is in the cache.
            begun = time.monotonic()
            codex.until(lambda _: time.monotonic() > begun + 1)
        process.kill()
        after = codex.until(lambda numbers: numbers["requests_running"] == 0)
    assert after["requests_answered_total"] == before["requests_answered_total"]


def test_a_client_that_is_killed_leaves_the_queue(codex: Codex) -> None:
    with busy(codex), codex.started("PLAIN") as process:
        codex.until(lambda numbers: numbers["requests_waiting"] == 1)
        process.kill()
        codex.until(lambda numbers: numbers["requests_waiting"] == 0)
