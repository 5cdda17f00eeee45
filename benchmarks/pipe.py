"""A server process behind pipes, spoken to in plain JSON-RPC: the least that a client can cost."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

SERVER = (sys.executable, "-m", "mcp_local_llm")
MODERN, LEGACY = "2026-07-28", "2025-11-25"
CLIENT = {"name": "benchmark", "version": "1"}
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}
HANDSHAKES: dict[str, dict[str, Any]] = {
    "initialize": {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": CLIENT},
    "server/discover": {"_meta": ENVELOPE},
}
"""The first request of each protocol era, and its parameters."""


class Pipe:
    """One process; `started` is when it was asked for, in seconds of `time.perf_counter`."""

    def __init__(self, command: Sequence[str], home: Path, settings: Mapping[str, str] | None = None) -> None:
        """Start `command` with `home` as the user's home folder and `settings` in its environment."""
        environ = environment(home, settings)
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._id = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def send(self, method: str, params: dict[str, Any]) -> int:
        """Send a request; returns its id."""
        self._id += 1
        message = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()
        return self._id

    def next(self) -> dict[str, Any]:
        """Wait for the next message."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the server ended"
        return cast(dict[str, Any], json.loads(line))

    def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        request = self.send(method, params)
        while (message := self.next()).get("id") != request:
            pass
        assert "result" in message, message
        return cast(dict[str, Any], message["result"])

    def discover(self) -> float:
        """Shake hands in the newer era; returns the seconds since the start."""
        return self.shake_hands("server/discover")

    def shake_hands(self, method: str) -> float:
        """Send the first request of an era; returns the seconds from the start to its answer."""
        self.answer(method, HANDSHAKES[method])
        return time.perf_counter() - self.started

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool and wait for its answer."""
        result = self.answer("tools/call", tool_call(tool, **arguments))
        assert not result.get("isError"), result
        return result


def environment(home: Path, settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a process that must see nothing of this user."""
    return {"HOME": str(home), "PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1", **(settings or {})}


def tool_call(tool: str, *, progress: int | None = None, **arguments: Any) -> dict[str, Any]:
    """Make the parameters of a tool call; `progress` is the token under which progress is told."""
    meta = ENVELOPE if progress is None else {**ENVELOPE, "progressToken": progress}
    return {"name": tool, "arguments": arguments, "_meta": meta}
