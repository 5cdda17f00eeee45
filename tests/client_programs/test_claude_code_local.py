"""The real Claude Code with a local model: `serve` answers its Messages API, and the model says what the test wants."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.behaviour.cases import CLOSED
from tests.behaviour.reciting_model import Script, cut, write_reciting_model
from tests.client_programs.claude_program import CLAUDE, WHERE_IT_RUNS
from tests.client_programs.test_client_programs import LONG_WAIT_S
from tests.clients import WAIT_S, private_environ
from tests.doors.http.test_serve import serve

Json = dict[str, Any]

TURNS = 20
IDLE_S = 10
"""The shortest time-out for a silent stream that Claude Code lets its users set, in seconds."""
BROKEN = '<tool_call>\n{"name": "Read", "arguments": {"file_path": "/tm\n</tool_call>'
FORM = {
    "ANTHROPIC_AUTH_TOKEN": "local",
    "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS": str(1000 * IDLE_S),
    "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1",
    "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "2000",
    "DISABLE_AUTOUPDATER": "1",
    "ENABLE_TOOL_SEARCH": "0",
    "PATH": "/usr/bin:/bin",
}

pytestmark = WHERE_IT_RUNS


@dataclass(frozen=True)
class Desk:
    """A server with models that recite, and a project whose files say what comes next."""

    url: str
    environ: dict[str, str]
    project: Path

    def command(self, words: str, *, tools: str = "Read", model: str = "local-llm") -> list[str | Path]:
        options = ["--model", model, "--permission-mode", "manual", "--strict-mcp-config", "--tools", tools]
        told = ["--output-format", "stream-json", "--verbose", "--include-partial-messages"]
        return [CLAUDE, *options, "--system-prompt", "Be brief.", *told, "-p", words]

    def claude(self, words: str, *, tools: str = "Read", model: str = "local-llm") -> list[Json]:
        """Run Claude Code to its end, and return what it told."""
        done = subprocess.run(
            self.command(words, tools=tools, model=model),
            env=self.environ,
            cwd=self.project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONG_WAIT_S,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return [json.loads(line) for line in done.stdout.splitlines()]

    def counts(self) -> dict[str, float]:
        """What the server counts, by name."""
        lines = httpx.get(f"{self.url}/metrics", timeout=WAIT_S).text.splitlines()
        found = (line.partition(" ") for line in lines if not line.startswith("#"))
        return {name.removeprefix("mcp_local_llm_"): float(value) for name, _, value in found if "{" not in name}

    def until(self, holds: Callable[[dict[str, float]], bool]) -> dict[str, float]:
        """Ask the server for its counts until this holds."""
        end = time.monotonic() + WAIT_S
        while not holds(counts := self.counts()):
            assert time.monotonic() < end, counts
        return counts


def call(name: str, **arguments: object) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


def scripts(project: Path) -> dict[str, str]:
    """Words in the last message → what the model answers; a file that was read says the next words."""

    def read(name: str) -> str:
        return call("Read", file_path=str(project / name))

    said = {
        "say-plain": "Hello from this machine.",
        "do-read": f"I read it. {read('read.txt')}",
        "word-after-read": "The file was read.",
        "do-both": f"{read('pair-1.txt')}\n{read('pair-2.txt')}",
        "word-after-pair": "Both were read.",
        "do-agent": call("Agent", description="look", prompt="sub-task", subagent_type="general-purpose"),
        "sub-task": "sub-answer",
        "sub-answer": "The agent has answered.",
        "agent launched": "The agent works.",
        "do-broken": BROKEN,
        "do-overflow": read("long-1.txt"),
        "detailed summary of the conversation": "<summary>Files were read.</summary>",
        "word-after-long-1": read("long-2.txt"),
        "word-after-long-2": read("long-3.txt"),
        "word-after-long-3": "It went on.",
        "do-many": read("turn-1.txt"),
        f"word-of-turn-{TURNS - 1}.": "Twenty turns are over.",
    }
    return said | {f"word-of-turn-{number}.": read(f"turn-{number + 1}.txt") for number in range(1, TURNS - 1)}


def write_project(project: Path) -> None:
    project.mkdir()
    # The two of a pair run side by side, so whichever comes last has to say the same.
    for name, word in (("read", "read"), ("pair-1", "pair"), ("pair-2", "pair")):
        (project / f"{name}.txt").write_text(f"word-after-{word}\n")
    for number in range(1, 4):
        filler = "filler words of the file\n" * 200
        (project / f"long-{number}.txt").write_text(f"word-after-long-{number}\n{filler}")
    for number in range(1, TURNS):
        (project / f"turn-{number}.txt").write_text(f"word-of-turn-{number}.\n")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Generator[Desk]:
    home = tmp_path_factory.mktemp("home")
    write_project(home / "project")
    said = {name: Script(cut(text)) for name, text in scripts(home / "project").items()}
    endless = {"do-endless": Script(("la ", "la\n"), opening=CLOSED, ends=False)}
    write_reciting_model(home / "models" / "wide", said | endless, by_part=True)
    write_reciting_model(home / "models" / "narrow", said, by_part=True, window=17_000)
    environ = {
        **private_environ(home),
        "MCP_LOCAL_LLM_FOLDERS": str(home / "models"),
        "MCP_LOCAL_LLM_SERVE_ANY_MODEL": "true",
        "MCP_LOCAL_LLM_BATCH_SIZE": "1",
        "MCP_LOCAL_LLM_REPETITION_LIMIT": "0",
    }
    with serve(environ, "--model", "wide") as server:
        url = server.url.removesuffix("/v1")
        yield Desk(url, {**private_environ(home), **FORM, "ANTHROPIC_BASE_URL": url}, home / "project")


def blocks(told: list[Json], role: str) -> list[Json]:
    """The blocks of all messages of a role, in their order."""
    messages: list[Any] = [event["message"]["content"] for event in told if event["type"] == role]
    return [block for content in messages if not isinstance(content, str) for block in content]


def result(told: list[Json]) -> str:
    last = [event for event in told if event["type"] == "result"][-1]
    assert last["is_error"] is False
    return last["result"]


def test_a_plain_answer_comes_with_one_request(desk: Desk) -> None:
    before = desk.counts()["requests_total"]
    told = desk.claude("say-plain")
    assert result(told) == "Hello from this machine."
    assert desk.counts()["requests_total"] == before + 1
    usage = told[-1]["usage"]
    assert usage["input_tokens"] + usage["cache_read_input_tokens"] > 2000
    assert usage["output_tokens"] == len(cut("Hello from this machine.")) + 1


def test_a_file_is_read_and_the_answer_goes_on(desk: Desk) -> None:
    told = desk.claude("do-read")
    assert [block["type"] for block in blocks(told, "assistant")] == ["text", "tool_use", "text"]
    assert result(told) == "The file was read."


def test_two_calls_of_one_answer_are_both_run(desk: Desk) -> None:
    told = desk.claude("do-both")
    (first, second) = (block["id"] for block in blocks(told, "assistant") if block["type"] == "tool_use")
    # They run side by side, so their results come in any order.
    assert {block["tool_use_id"] for block in blocks(told, "user")} == {first, second}
    assert result(told) == "Both were read."


def test_a_subagent_is_answered_beside_the_main_loop(desk: Desk) -> None:
    told = desk.claude("do-agent", tools="Read,Agent")
    texts = [block.get("text") for block in blocks(told, "assistant")]
    assert "sub-answer" in texts
    assert result(told) == "The agent has answered."


def test_a_broken_call_is_shown_as_text_and_ends_the_turn(desk: Desk) -> None:
    before = desk.counts()["requests_total"]
    assert result(desk.claude("do-broken")) == BROKEN
    assert desk.counts()["requests_total"] == before + 1


def test_a_session_of_twenty_turns_reads_only_what_is_new(desk: Desk) -> None:
    before = desk.counts()
    assert result(desk.claude("do-many")) == "Twenty turns are over."
    after = desk.counts()
    assert after["requests_total"] - before["requests_total"] == TURNS
    read = after["prompt_tokens_total"] - before["prompt_tokens_total"]
    cached = after["cached_tokens_total"] - before["cached_tokens_total"]
    assert cached > 0.9 * read - 3500


def test_a_conversation_that_is_too_long_is_compacted_and_goes_on(desk: Desk) -> None:
    told = desk.claude("do-overflow", model="narrow")
    assert any(event.get("compact_result") == "success" for event in told)
    assert result(told) == "It went on."


@contextmanager
def started(desk: Desk, words: str) -> Generator[subprocess.Popen[str]]:
    """Claude Code at work on something that has no end."""
    environ = {**desk.environ, "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "100000"}
    process = subprocess.Popen(
        desk.command(words),
        env=environ,
        cwd=desk.project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_a_client_that_is_interrupted_ends_the_answer(desk: Desk, phase: str) -> None:
    desk.claude("say-plain")
    before = desk.counts()
    long_words = "do-endless " + "and more words " * (6000 if phase == "prefill" else 1)
    with started(desk, long_words) as process:
        desk.until(lambda counts: counts["requests_running"] == 1)
        if phase == "decode":
            assert process.stdout is not None
            assert any("text_delta" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        after = desk.until(lambda counts: counts["requests_running"] == 0 == counts["http_answers_open"])
    assert after["requests_answered_total"] == before["requests_answered_total"]
    assert result(desk.claude("say-plain")) == "Hello from this machine."


def test_a_silence_in_the_queue_is_bridged(desk: Desk) -> None:
    before = desk.counts()["requests_total"]
    body = {"model": "", "messages": [{"role": "user", "content": "do-endless"}], "max_tokens": 100_000, "stream": True}
    with httpx.stream("POST", f"{desk.url}/v1/chat/completions", json=body, timeout=WAIT_S) as blocking:
        lines = blocking.iter_lines()
        next(lines)
        process = subprocess.Popen(
            desk.command("say-plain"),
            env=desk.environ,
            cwd=desk.project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        desk.until(lambda counts: counts["http_answers_open"] == 2)
        end = time.monotonic() + 1.3 * IDLE_S
        while time.monotonic() < end:
            next(lines)
        assert desk.counts()["requests_total"] == before + 2
    told, _ = process.communicate(timeout=LONG_WAIT_S)
    assert result([json.loads(line) for line in told.splitlines()]) == "Hello from this machine."
    assert desk.counts()["requests_total"] == before + 2
