"""A peer in a process of its own, asked over HTTP as any client would."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from benchmarks.peers import Installed

START_S = 300.0
"""Some import for a minute on a slow machine before they listen."""
POLL_S = 0.1
CHAT = "/v1/chat/completions"
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "RAPID_MLX_TELEMETRY": "0",
    "RAPID_MLX_DISABLE_VERSION_CHECK": "1",
}
"""Nothing that is measured here reaches for the network; rapid-mlx would report its use otherwise."""


class PeerServer:
    """One running peer; `start`, `wait_until_ready`, requests, `stop`."""

    def __init__(self, installed: Installed, model: Path, home: Path, title: str) -> None:
        """Take what to run and where: `home` is its home folder, `title` what the report calls it."""
        self.name, self.title = installed.peer.name, title
        self._peer, self._program, self._path, self._home = installed.peer, installed.program, model, home
        self._output = home / "output.txt"
        self._process: subprocess.Popen[bytes] | None = None
        self._client: httpx.Client | None = None

    def start(self) -> None:
        """Start the process; its caches and settings lie in a home of its own."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        arguments = [argument.format(model=self._path, port=port) for argument in self._peer.arguments]
        with self._output.open("wb") as output:
            # A session of its own, so that its children end with it.
            self._process = subprocess.Popen(
                [*self._program, *arguments],
                env=os.environ | QUIET | {"HOME": str(self._home)},
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600, trust_env=False)

    def wait_until_ready(self) -> None:
        """Return once it answers.

        Raises:
            RuntimeError: it ended, or `START_S` are over; with its last words.
        """
        assert self._client is not None
        assert self._process is not None
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"it ended with code {self._process.returncode}: {self.last_words()}")
            with contextlib.suppress(httpx.TransportError):
                if self._client.get(self._peer.ready).is_success:
                    return
            time.sleep(POLL_S)
        raise RuntimeError(f"it was not ready after {START_S:g} s: {self.last_words()}")

    def last_words(self) -> str:
        """Return the last line that it printed."""
        lines = self._output.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")

    def stop(self) -> None:
        """End it with its children, at once; it has nothing to keep."""
        if self._client is not None:
            self._client.close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            # A second stop must not meet whoever has its number then.
            self._process = None

    def decode_rate(self, question: str, tokens: int) -> float:
        """Return tokens per second from the first text of a streamed answer to its end."""
        assert self._client is not None
        times: list[float] = []
        usage: dict[str, int] | None = None
        body = self._body(question, tokens) | {"stream": True, "stream_options": {"include_usage": True}}
        with self._client.stream("POST", CHAT, json=body) as reply:
            if reply.is_error:
                reply.read()
                raise RuntimeError(f"it answered {reply.status_code}: {reply.text[:300]}")
            for line in reply.iter_lines():
                if not line.startswith("data: {"):
                    continue
                chunk = json.loads(line.removeprefix("data: "))
                usage = chunk.get("usage") or usage
                # Some open with a chunk that has only a role, before they have read the prompt.
                if chunk.get("choices") and (times or _has_text(chunk["choices"][0].get("delta") or {})):
                    times.append(time.perf_counter())
        self._require(usage, tokens)
        if len(times) < 2:
            raise RuntimeError("its answer came in one piece")
        return (tokens - 1) / (times[-1] - times[0])

    def answer(self, question: str, tokens: int) -> float:
        """Return the seconds until a whole answer is here."""
        assert self._client is not None
        started = time.perf_counter()
        reply = self._client.post(CHAT, json=self._body(question, tokens))
        seconds = time.perf_counter() - started
        if reply.is_error:
            raise RuntimeError(f"it answered {reply.status_code}: {reply.text[:300]}")
        self._require(reply.json().get("usage"), tokens)
        return seconds

    def together(self, questions: list[str], tokens: int) -> float:
        """Return tokens per second of all questions asked at once."""
        started = time.perf_counter()
        with ThreadPoolExecutor(len(questions)) as pool:
            list(pool.map(partial(self.answer, tokens=tokens), questions))
        return tokens * len(questions) / (time.perf_counter() - started)

    def _body(self, question: str, tokens: int) -> dict[str, Any]:
        messages = [{"role": "user", "content": question}]
        model = self._peer.model.format(model=self._path)
        return {"model": model, "messages": messages, "max_tokens": tokens, "temperature": 0.0}

    def _require(self, usage: dict[str, int] | None, tokens: int) -> None:
        """Make sure that the answer is as long as the others' answers."""
        count = (usage or {}).get("completion_tokens")
        if count != tokens:
            raise RuntimeError(f"its answer has {count} tokens, not {tokens}")


def _has_text(delta: dict[str, Any]) -> bool:
    return any(delta.get(part) for part in ("content", "reasoning", "reasoning_content"))
