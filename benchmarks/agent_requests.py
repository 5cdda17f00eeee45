"""The first request of each form that `launch` starts: `python -m benchmarks.agent_requests [--model FOLDER]`.

Runs the agents that are on the PATH, with an empty home and without a network, against a server that keeps the request
and refuses it. Tokens are those of tools, system prompt and messages by the model's tokenizer, without a template.
"""

import argparse
import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

from tokenizers import Tokenizer

from mcp_local_llm.agents.forms import AGENTS, FORMS, SAMPLE, Form
from mcp_local_llm.agents.launch import STARTS, child_environ, write_files
from mcp_local_llm.agents.order import Door, ModelFacts, Scene, UserServers, without_proxy
from mcp_local_llm.agents.programs import find_agent
from mcp_local_llm.values.errors import ConfigError
from mcp_local_llm.values.launch_order import AgentName, LaunchOrder

MODEL = Path(".cache/real-model/mlx/SmolLM2-135M-Instruct-4bit")
WORDS: dict[AgentName, tuple[str, ...]] = {
    "claude": ("-p", "Say hello."),
    "codex": ("exec", "--skip-git-repo-check", "Say hello."),
    "opencode": ("run", "Say hello."),
}
WAIT_S = 60.0
TEXTS = {"text", "content", "instructions", "system", "input", "messages", "arguments", "output"}
"""Fields that hold texts of the prompt, or lists of what holds them."""


@contextmanager
def keeping_requests() -> Generator[tuple[str, list[bytes]]]:
    """Serve on a port of the loopback: every POST is kept and refused; yields the address and the bodies."""
    bodies: list[bytes] = []

    class Keeper(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            del format, args

        def do_HEAD(self) -> None:
            self._answer(200)

        def do_GET(self) -> None:
            self._answer(404)

        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self._answer(400)

        def _answer(self, status: int) -> None:
            body = b'{"error": {"type": "invalid_request_error", "message": "kept"}}'
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Keeper)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", bodies
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def first_request(form: Form) -> bytes | None:
    """Run an agent in one form; return the body of its first request with tools, None where it sent none.

    Raises:
        ConfigError: it is not on the PATH.
    """
    program = find_agent(form.agent, os.environ, Path.home())
    with tempfile.TemporaryDirectory() as folder, keeping_requests() as (address, bodies):
        home, work, private = (Path(folder, name) for name in ("home", "work", "private"))
        for made in (home, work, private):
            made.mkdir()
        model = ModelFacts("local-model", 65_536, tools=True)
        order = LaunchOrder(form.agent, small=form.small)
        scene = Scene(order, Door(address, "none"), model, UserServers(), private, without_proxy({}))
        start = STARTS[form.agent](scene)
        write_files(start, private)
        closed = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY"), "http://127.0.0.1:9")
        environ = {"HOME": str(home), "PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1", **closed}
        command = [program, *start.flags, *WORDS[form.agent]]
        with subprocess.Popen(
            command,
            env=child_environ(start, environ),
            cwd=work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                process.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
    return next((body for body in bodies if json.loads(body).get("tools")), None)


def prompt_texts(value: object) -> Iterator[str]:
    """Yield the texts of a request that become its prompt, tools as JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in cast(list[object], value):
            yield from prompt_texts(part)
    elif isinstance(value, dict):
        for name, part in cast(dict[str, object], value).items():
            if name == "tools":
                yield json.dumps(part, ensure_ascii=False)
            elif name in TEXTS:
                yield from prompt_texts(part)


def main() -> None:
    """Print the table, with what `launch` says in brackets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=MODEL, help=f"folder of a model (default: {MODEL})")
    tokenizer: Any = Tokenizer.from_file(str(parser.parse_args().model / "tokenizer.json"))

    def count(text: str) -> int:
        return len(tokenizer.encode(text).ids)

    print("| agent | form | bytes (launch says) | tokens (launch says) |\n| --- | --- | --- | --- |")
    for form in FORMS:
        name = f"| {AGENTS[form.agent]} | {'--small' if form.small else 'usual'} |"
        try:
            body = first_request(form)
        except ConfigError:
            print(f"{name} not on the PATH | |")
            continue
        if body is None:
            print(f"{name} no request with tools came | |")
            continue
        tokens = sum(count(text) for text in prompt_texts(json.loads(body)))
        print(f"{name} {len(body):,} ({form.request_bytes:,}) | {tokens:,} ({form.request_tokens:,}) |")
    print(f"\nThe sample text that `launch` counts has {count(SAMPLE)} tokens.")


if __name__ == "__main__":
    main()
