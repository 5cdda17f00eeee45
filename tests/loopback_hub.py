"""A Hugging Face Hub for tests: a small HTTP server on the loopback interface that speaks the hub's protocol.

It serves repositories from memory, counts what it is asked, and can misbehave in the ways that downloads meet.
"""

import hashlib
import json
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
LFS_BYTES = 100_000
"""Larger files are kept in Git LFS, as the hub does with weights."""
HOLD_S = 30.0
"""Longest time that a held answer waits; a test that forgets it ends all the same."""


@dataclass(frozen=True)
class Served:
    """One request that was answered."""

    method: str
    path: str
    range: str | None
    authorization: str | None
    status: int


@dataclass
class LoopbackHub:
    """What is served, what was asked, and what goes wrong.

    Attributes:
        repositories: id → file name → content.
        content: file name → what is sent in place of the true content.
        cut_after: file name → bytes after which the connection breaks, once.
        hold_after: file name → bytes after which the answer waits for `go`.
        refuse: id → status and the hub's word for it.
        ranges: whether `Range` is honoured.
        extra: entries that are listed beside a repository's files.
    """

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict[str, dict[str, bytes]])
    content: dict[str, bytes] = field(default_factory=dict[str, bytes])
    cut_after: dict[str, int] = field(default_factory=dict[str, int])
    hold_after: dict[str, int] = field(default_factory=dict[str, int])
    refuse: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    extra: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    ranges: bool = True
    served: list[Served] = field(default_factory=list[Served])
    sent: dict[str, int] = field(default_factory=dict[str, int])
    held: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def asked_for(self, name: str) -> list[Served]:
        """The requests that brought content of a file."""
        return [one for one in self.served if one.path.endswith(f"/{name}") and one.status in (200, 206)]

    def description(self, repository: str) -> dict[str, Any]:
        """What `/api/models/{id}/revision/main?blobs=true` says."""
        siblings = [_sibling(name, content) for name, content in self.repositories[repository].items()]
        return {"id": repository, "sha": COMMIT, "gated": False, "siblings": [*siblings, *self.extra]}


@contextmanager
def running(hub: LoopbackHub) -> Generator[LoopbackHub]:
    """Serve in a thread until the block ends."""

    class Handler(_Handler):
        state = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        hub.go.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _sibling(name: str, content: bytes) -> dict[str, Any]:
    header = f"blob {len(content)}\0".encode()
    entry = {"rfilename": name, "size": len(content), "blobId": hashlib.sha1(header + content).hexdigest()}
    if len(content) < LFS_BYTES:
        return entry
    large = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 133}
    return {**entry, "blobId": "f" * 40, "lfs": large}


class _Handler(BaseHTTPRequestHandler):
    state: LoopbackHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def _answer(self, *, with_content: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            self._describe("/".join(parts[2:4]))
        elif parts[0] == "cdn":
            self._send_file(parts[1] + "/" + parts[2], parts[3], with_content=with_content)
        elif len(parts) >= 5 and parts[2] == "resolve":
            self._resolve("/".join(parts[:2]), "/".join(parts[4:]), with_content=with_content)
        else:
            self._reply(404, b"", {})

    def _describe(self, repository: str) -> None:
        if not self._refused(repository):
            body = json.dumps(self.state.description(repository)).encode()
            self._reply(200, body, {"Content-Type": "application/json"})

    def _refused(self, repository: str) -> bool:
        status, word = self.state.refuse.get(repository, (0, ""))
        if repository not in self.state.repositories and not status:
            status, word = 404, "RepoNotFound"
        if status:
            self._reply(status, b"", {"X-Error-Code": word} if word else {})
        return bool(status)

    def _resolve(self, repository: str, name: str, *, with_content: bool) -> None:
        if self._refused(repository):
            return
        content = self.state.repositories[repository].get(name)
        if content is None:
            self._reply(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        if len(content) < LFS_BYTES:
            self._send_file(repository, name, with_content=with_content)
            return
        # Large files come from another host, as on the real hub.
        headers = {
            "Location": f"http://localhost:{self.state.port}/cdn/{repository}/{name}",
            "X-Repo-Commit": COMMIT,
            "X-Linked-Size": str(len(content)),
            "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
        }
        self._reply(302, b"", headers)

    def _send_file(self, repository: str, name: str, *, with_content: bool) -> None:
        content = self.state.content.get(name, self.state.repositories[repository][name])
        wanted = self.headers.get("Range") if self.state.ranges else None
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        headers = {"X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:] if with_content else b""
        self._reply(206 if wanted else 200, body, headers, name=name)

    def _reply(self, status: int, body: bytes, headers: Mapping[str, str], *, name: str = "") -> None:
        state = self.state
        seen = Served(self.command, self.path, self.headers.get("Range"), self.headers.get("Authorization"), status)
        state.served.append(seen)
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut, hold = state.cut_after.pop(name, None), state.hold_after.pop(name, None)
        end = next((limit for limit in (cut, hold) if limit is not None), len(body))
        try:
            self._write(name, body[:end])
            if hold is not None:
                state.held.set()
                state.go.wait(HOLD_S)
                self._write(name, body[end:])
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # The client went away, as it may.
        if cut is not None:
            self.close_connection = True

    def _write(self, name: str, data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()
        self.state.sent[name] = self.state.sent.get(name, 0) + len(data)
