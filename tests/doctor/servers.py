"""Scripted servers on free ports of this machine, each answering as one kind does."""

import json
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Script:
    """What it answers: path → status and body; `server` is its header, Python's own where it is None."""

    answers: Mapping[str, tuple[int, object]]
    server: str | None = None
    other: tuple[int, object] = (404, {"error": "not found"})
    asked: list[str] = field(default_factory=list[str])


def models(*names: str, **fields: str) -> dict[str, Any]:
    """A list of models as OpenAI writes it, with further fields in each entry."""
    return {"object": "list", "data": [{"id": name, "object": "model", "created": 1, **fields} for name in names]}


@contextmanager
def serving(script: Script) -> Generator[int]:
    """Serve on a free port until the block ends."""

    class Answering(BaseHTTPRequestHandler):
        def version_string(self) -> str:
            return super().version_string() if script.server is None else script.server

        def do_GET(self) -> None:
            script.asked.append(self.path)
            status, value = script.answers.get(self.path, script.other)
            body = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(10)
