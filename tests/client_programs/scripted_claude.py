"""A scripted model behind the Messages API, so that the real Claude Code can be run without an account or a network."""

import json
import threading
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Block = dict[str, Any]
Script = Callable[[dict[str, Any]], Block | list[Block]]
"""Returns the content block that answers a request, or several calls of tools."""


@dataclass
class ScriptedClaude:
    """Its address, and the requests that it got, in their order."""

    url: str
    requests: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


def text(words: str) -> Block:
    return {"type": "text", "text": words}


def call(name: str, arguments: dict[str, Any]) -> Block:
    return {"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex}", "name": name, "input": arguments}


def words_of(content: Any) -> str:
    """All text of a message's content, that of tool results included."""
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] if "text" in block else words_of(block.get("content") or []) for block in content)


def results_of(request: dict[str, Any]) -> list[str]:
    """The texts of the tool results in a request."""
    blocks = [block for turn in request["messages"] if isinstance(turn["content"], list) for block in turn["content"]]
    return [words_of(block.get("content") or []) for block in blocks if block.get("type") == "tool_result"]


@contextmanager
def scripted_claude(script: Script) -> Generator[ScriptedClaude]:
    """Serve the script on a port of this machine."""

    class Door(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            del format, args

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if "count_tokens" in self.path:
                self._send("application/json", json.dumps({"input_tokens": 10}))
                return
            claude.requests.append(request)
            answer = script(request)
            events = _events(answer if isinstance(answer, list) else [answer], request["model"])
            self._send("text/event-stream", "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events))

        def _send(self, kind: str, body: str) -> None:
            self.send_response(200)
            self.send_header("content-type", kind)
            self.end_headers()
            self.wfile.write(body.encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    claude = ScriptedClaude(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield claude
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _events(blocks: list[Block], model: str) -> list[dict[str, Any]]:
    usage = {"input_tokens": 10, "output_tokens": 5}
    message: Block = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "usage": usage,
    }
    stop = "tool_use" if blocks[-1]["type"] == "tool_use" else "end_turn"
    return [
        {"type": "message_start", "message": {**message, "stop_reason": None, "stop_sequence": None}},
        *(event for index, block in enumerate(blocks) for event in _block_events(index, block)),
        {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": usage},
        {"type": "message_stop"},
    ]


def _block_events(index: int, block: Block) -> list[dict[str, Any]]:
    tool = block["type"] == "tool_use"
    piece = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])} if tool else None
    opening: Block = {**block, "input": {}} if tool else text("")
    delta = piece or {"type": "text_delta", "text": block["text"]}
    return [
        {"type": "content_block_start", "index": index, "content_block": opening},
        {"type": "content_block_delta", "index": index, "delta": delta},
        {"type": "content_block_stop", "index": index},
    ]
