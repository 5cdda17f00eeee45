"""`mlx_lm.server`, the HTTP server that comes with mlx-lm, in a process of its own."""

import json
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

START_S = 60.0


class MlxLmServer:
    """Runs while the block does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "mlx_lm.server", "--model", str(self._folder), "--port", str(port)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                self._client.get("/health")
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                return self
        raise RuntimeError("mlx_lm.server did not start")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        self._process.kill()
        self._process.wait()

    def decode_rate(self, question: str, tokens: int) -> float:
        """Return tokens per second from the first chunk to the last of a streamed answer."""
        with self._client.stream(
            "POST", "/v1/chat/completions", json=self._body(question, tokens, stream=True)
        ) as reply:
            chunks = (line[6:] for line in reply.iter_lines() if line.startswith("data: {"))
            times = [time.perf_counter() for chunk in chunks if json.loads(chunk).get("choices")]
        return (tokens - 1) / (times[-1] - times[0])

    def answer(self, question: str, tokens: int) -> float:
        """Return the seconds until a whole answer is here."""
        started = time.perf_counter()
        reply = self._client.post("/v1/chat/completions", json=self._body(question, tokens)).raise_for_status().json()
        if reply["usage"]["completion_tokens"] != tokens:
            raise RuntimeError(f"mlx_lm.server ended after {reply['usage']['completion_tokens']} of {tokens} tokens")
        return time.perf_counter() - started

    def together(self, questions: list[str], tokens: int) -> float:
        """Return tokens per second of all questions asked at once."""
        started = time.perf_counter()
        with ThreadPoolExecutor(len(questions)) as pool:
            list(pool.map(partial(self.answer, tokens=tokens), questions))
        return tokens * len(questions) / (time.perf_counter() - started)

    def _body(self, question: str, tokens: int, *, stream: bool = False) -> dict[str, Any]:
        messages = [{"role": "user", "content": question}]
        return {"messages": messages, "max_tokens": tokens, "temperature": 0.0, "stream": stream}
