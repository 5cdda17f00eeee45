"""One server process that many faults are tried on, spoken to without an event loop, and models to try them with."""

import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.clients import WAIT_S, private_environ
from tests.model_cache import TINY, Content, write
from tests.sharing.sessions import GREETING
from tests.source import ROOT

Json = dict[str, Any]
WATCHED = Path(__file__).with_name("watched")


class Steady:
    """A server with a folder of models of its own; it must outlive whatever they do.

    Args:
        home: a private home.
        variables: of its environment, besides.
        command: that starts it.
    """

    def __init__(
        self,
        home: Path,
        variables: Mapping[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "-m", "mcp_local_llm"),
    ) -> None:
        self.home, self.models = home, home / "models"
        self.models.mkdir(parents=True, exist_ok=True)
        self._log, self._errors = home / "watched.log", home / "stderr"
        environ = private_environ(home) | {
            "MCP_LOCAL_LLM_FOLDERS": str(self.models),
            "PYTHONPATH": f"{WATCHED}{os.pathsep}{ROOT}",
            "WATCHED_MODELS": str(self.models),
            "WATCHED_LOG": str(self._log),
        }
        self.environ = environ | dict(variables or {})
        with self._errors.open("ab") as errors:
            self.process = subprocess.Popen(
                command,
                env=self.environ,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._id = 0
        self._answers: dict[int, Json] = {}
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "steady", "version": "1"}}
        try:
            self.answer(self.send("initialize", hello))
        except BaseException:
            self.kill()
            raise
        self._write({"method": "notifications/initialized", "params": {}})

    def send(self, method: str, params: Json) -> int:
        """Send a request; return its id."""
        self._id += 1
        self._write({"id": self._id, "method": method, "params": params})
        return self._id

    def call(self, tool: str, **arguments: Any) -> int:
        """Call a tool; return the request's id."""
        return self.send("tools/call", {"name": tool, "arguments": arguments})

    def begin(self, model: str, message: str = "Hello", **arguments: Any) -> int:
        """Begin a chat; return the request's id."""
        return self.call("chat", message=message, model=model, **{"max_tokens": 20, "thinking": False, **arguments})

    def answered(self, request: int) -> bool:
        """Whether the answer to a request is there; does not wait."""
        self._take(0)
        return request in self._answers

    def answer(self, request: int, within: float = WAIT_S) -> Json:
        """Wait for the answer to a request."""
        until = time.monotonic() + within
        while request not in self._answers:
            left = until - time.monotonic()
            assert left > 0, f"no answer after {within:.0f} s"
            self._take(left)
        return self._answers[request]

    def result(self, request: int) -> tuple[bool, str]:
        """Wait for a tool's answer; return whether it failed, and its text."""
        answer = self.answer(request)
        assert "result" in answer, answer
        return answer["result"].get("isError", False), answer["result"]["content"][0]["text"]

    def chat(self, model: str, message: str = "Hello", **arguments: Any) -> tuple[bool, str]:
        """Ask a model; return whether the call failed, and its text."""
        return self.result(self.begin(model, message, **arguments))

    def refused(self, model: str, request: int | None = None) -> str:
        """Ask a model that cannot answer: the error names it, is short, and holds no traceback."""
        failed, text = self.result(self.begin(model) if request is None else request)
        assert failed, text
        self.check_error(model, text)
        return text

    def check_error(self, model: str, text: str) -> None:
        """Check an error's text."""
        assert model in text, text
        assert len(text) < 1500, text
        assert "Traceback" not in text, text

    def lives(self) -> None:
        """Another model answers rightly, in the same process, and no model made it do anything but compute."""
        assert self.chat("tiny") == (False, GREETING)
        assert self.process.poll() is None
        assert self.events() == []

    def events(self) -> list[str]:
        """Return what the process did that no model may make it do."""
        return self._log.read_text().splitlines() if self._log.exists() else []

    def place(self, name: str, files: Mapping[str, Content | None] | None = None) -> Path:
        """Place a copy of the built-in model with other files; None leaves one out."""
        folder = self.models / name
        shutil.copytree(TINY, folder, ignore=shutil.ignore_patterns("__pycache__"))
        for file, content in (files or {}).items():
            (folder / file).unlink(missing_ok=True)
            if content is not None:
                write(folder / file, content)
        return folder

    def remove(self, name: str) -> None:
        """Remove a model's folder."""
        shutil.rmtree(self.models / name)

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(WAIT_S)
        finally:
            self.kill()

    def kill(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _take(self, within: float) -> None:
        try:
            line = self._lines.get(timeout=within) if within else self._lines.get_nowait()
        except queue.Empty:
            return
        assert line is not None, f"the process ended: {self._errors.read_text()[-2000:]}"
        message = json.loads(line)
        if "id" in message:
            self._answers[message["id"]] = message

    def _write(self, message: Json) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()
