"""`mcp-local-llm serve` as a real process: its port, its signals, its words."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from openai import OpenAI

from tests.clients import POLL_S, WAIT_S
from tests.doors.http.door import LEGS, endless, question
from tests.model_cache import place_tiny

KEY = "a-long-random-text"


@dataclass(frozen=True)
class Served:
    """A process that serves, and the URL that it told."""

    process: subprocess.Popen[str]
    url: str

    def stop(self, number: signal.Signals) -> tuple[int, str, str]:
        """Send a signal; returns exit code, stdout and what came on stderr after the URL."""
        self.process.send_signal(number)
        out, errors = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, out, errors


@contextmanager
def serve(environ: dict[str, str], *arguments: str, under: Sequence[str] = ()) -> Generator[Served]:
    """Start it, with the command `under` that runs it."""
    command = [*under, sys.executable, "-m", "mcp_local_llm", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(
        command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    # Ends the wait for a line that never comes.
    alarm = threading.Timer(WAIT_S, process.kill)
    alarm.start()
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        alarm.cancel()
        assert line.startswith("mcp-local-llm: serving http://"), line + process.stderr.read()
        yield Served(process, line.split()[-1])
    finally:
        alarm.cancel()
        process.kill()
        process.communicate()


def refused(environ: dict[str, str], *arguments: str) -> str:
    """Run `serve` where it must refuse; returns why."""
    command = [sys.executable, "-m", "mcp_local_llm", "serve", *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


def test_openai_s_client_is_answered_and_sigterm_ends_it_with_code_0(environ: dict[str, str]) -> None:
    with serve(environ) as served:
        with OpenAI(base_url=served.url, api_key="none", timeout=WAIT_S) as client:
            answer = client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": LEGS}])
            assert answer.choices[0].message.content == "10"
            assert [model.id for model in client.models.list()] == ["tiny"]
        assert served.stop(signal.SIGTERM) == (0, "", "")


def test_curl_is_answered_in_one_piece_and_as_a_stream(environ: dict[str, str]) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not on this machine")
    with serve(environ) as served:

        def post(**fields: object) -> str:
            command = [curl, "--silent", "--show-error", "--fail-with-body", "--no-buffer", "--json", "@-"]
            done = subprocess.run(
                [*command, f"{served.url}/chat/completions"],
                input=json.dumps(question(LEGS, **fields)),
                capture_output=True,
                text=True,
                timeout=WAIT_S,
                check=True,
            )
            return done.stdout

        assert json.loads(post())["choices"][0]["message"]["content"] == "10"
        streamed = post(stream=True)
        assert '"content": "10"' in streamed
        assert streamed.rstrip().endswith("data: [DONE]")


def test_a_signal_in_the_middle_of_answers_tells_them_and_ends_at_once(environ: dict[str, str]) -> None:
    body = {"model": "", "prompt": "la la la", "max_tokens": 3000, "repetition_limit": 0, "stream": True}
    with serve(environ) as served, httpx.Client(base_url=served.url, timeout=WAIT_S) as http:
        with http.stream("POST", "/completions", json=body) as reply:
            lines = reply.iter_lines()
            assert next(lines).startswith(("data: ", ": "))
            served.process.send_signal(signal.SIGINT)
            rest = [line for line in lines if line.startswith("data: ")]
        assert served.process.wait(timeout=5) == 0
    assert json.loads(rest[-1].removeprefix("data: "))["error"]["code"] == "backend_unavailable"


def test_a_model_that_is_named_is_loaded_and_used_at_once_and_the_choice_stays(
    environ: dict[str, str], home: Path
) -> None:
    place_tiny(home / ".cache" / "huggingface" / "hub", "acme/other")
    choice = home / ".config" / "mlx-mcp" / "active_model"
    choice.parent.mkdir(parents=True)
    choice.write_text("acme/other\n")
    resident = 'mcp_local_llm_model_resident{model="tiny"} 1'
    with serve(environ, "--model", "tiny") as served, httpx.Client(base_url=served.url, timeout=WAIT_S) as http:
        metrics = served.url.removesuffix("v1") + "metrics"
        deadline = time.monotonic() + WAIT_S
        while resident not in http.get(metrics).text:
            assert served.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(POLL_S)
        reply = http.post("/completions", json={"model": "", "prompt": "la la", "max_tokens": 3})
        assert reply.json()["model"] == "tiny"
        assert served.stop(signal.SIGTERM) == (0, "", "")
    assert choice.read_text() == "acme/other\n"


def test_a_key_in_the_environment_is_asked_for(environ: dict[str, str]) -> None:
    with serve({**environ, "MCP_LOCAL_LLM_API_KEY": KEY}) as served:
        assert httpx.get(f"{served.url}/models").status_code == 401
        assert httpx.get(f"{served.url}/models", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200


def test_other_machines_are_not_let_in_without_a_key(environ: dict[str, str]) -> None:
    assert "MCP_LOCAL_LLM_API_KEY" in refused(environ, "--host", "0.0.0.0")


def test_a_wrong_key_setting_is_refused_and_not_shown(environ: dict[str, str]) -> None:
    said = refused({**environ, "MCP_LOCAL_LLM_API_KEY": "two words"})
    assert "api_key" in said
    assert "two words" not in said


def test_a_port_that_is_taken_is_told(environ: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"Port {port}" in refused(environ, "--port", port)


def test_a_model_that_is_not_here_ends_it(environ: dict[str, str]) -> None:
    assert "no-such-model" in refused(environ, "--port", "0", "--model", "no-such-model")


def test_a_broken_client_is_no_matter_for_the_log(environ: dict[str, str]) -> None:
    with serve(environ, "--model", "tiny") as served:
        port = int(served.url.removesuffix("/v1").rpartition(":")[2])
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
        for text in (head + "{", f"{head}{json.dumps(endless())}"):
            with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as connection:
                connection.sendall(text.encode())
        httpx.get(f"{served.url}/models", timeout=WAIT_S).raise_for_status()
        assert served.stop(signal.SIGTERM) == (0, "", "")
