"""A stand-in for llama-server that shows what a real one shows only sometimes. Run as a program.

It takes llama-server's flags, asks for the key, and answers health and chat. STANDIN names its manners:
`slow` says 503 twice before it is well, `dies` ends at start, `dies-answering` after its first token, `deaf` never says
that it is well, `stubborn` ignores SIGTERM and has a child that does, too, `ends` hangs in the middle of its end when
it is asked.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Standin(BaseHTTPRequestHandler):
    manners = os.environ.get("STANDIN", "")
    key = os.environ["LLAMA_API_KEY"]
    asked_for_health = 0

    def do_GET(self) -> None:
        if self.path == "/health":
            Standin.asked_for_health += 1
            loading = self.manners == "deaf" or (self.manners == "slow" and Standin.asked_for_health <= 2)
            self.reply(
                503 if loading else 200, {"error": {"message": "Loading model"}} if loading else {"status": "ok"}
            )
        elif self.refused():
            return
        else:
            self.reply(200, {"object": "list", "data": [{"id": flag("--alias")}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.refused():
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.event({"content": "Hel"}, None)
        if self.manners == "dies-answering":
            say("out of memory")
            os._exit(9)
        if self.manners == "ends":
            self.server.shutdown()
            threading.Event().wait()
        self.event({"content": "lo"}, None)
        self.event({}, "stop")
        self.wfile.write(b"data: [DONE]\n\n")

    def refused(self) -> bool:
        good = self.headers.get("Authorization") == f"Bearer {self.key}"
        if not good:
            self.reply(401, {"error": {"message": "Invalid API Key"}})
        return not good

    def event(self, delta: dict[str, str], reason: str | None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        counts = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        chunk = {"model": flag("--alias"), "choices": [choice], **({"usage": counts} if reason else {})}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.flush()

    def reply(self, status: int, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


def flag(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def main() -> None:
    say(f"standin with {Standin.key}")
    if Standin.manners == "dies":
        sys.exit("error: unknown model architecture: 'strange'")
    if Standin.manners == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say(f"child {subprocess.Popen(['sleep', '1000']).pid}")
    with ThreadingHTTPServer((flag("--host"), int(flag("--port"))), Standin) as server:
        server.serve_forever()
    threading.Event().wait()


if __name__ == "__main__":
    main()
