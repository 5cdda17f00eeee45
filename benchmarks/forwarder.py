"""What the forwarder adds to a request of Claude Code: `python -m benchmarks.forwarder [--rounds N] [--model-last]`.

One client on one connection sends the same request straight to a server on this machine and through the forwarder, in
turns. Bodies of the named size go up and come back; the server reads all before it answers. Exits with 1 where the
median of what is added is above the promise. Beside other work `chrt -f 5` in front gives it the processor.
"""

import argparse
import asyncio
import http.client
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

from mcp_local_llm.agents.forwarder.launched import forwarder, new_key
from mcp_local_llm.agents.forwarder.order import ForwarderOrder

PROMISES_MS = {1_000: 2.0, 10_000: 2.0, 100_000: 2.0, 500_000: 8.0}
"""Size of a body in bytes → the most that may be added, in milliseconds."""

ECHO = """
import http.server, socketserver
class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    def log_message(self, *_): pass
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
server = Server(("127.0.0.1", 0), Echo)
print(server.server_port, flush=True)
server.serve_forever()
"""


@dataclass(frozen=True)
class Added:
    """Exchanges of one size in milliseconds: straight and through the forwarder."""

    size: int
    straight: list[float]
    through: list[float]

    @property
    def median(self) -> float:
        """What the forwarder adds, as the difference of the medians."""
        return statistics.median(self.through) - statistics.median(self.straight)

    @property
    def row(self) -> str:
        """A row of the table."""
        straight, through = statistics.median(self.straight), statistics.median(self.through)
        return f"| {self.size:,} | {straight:.2f} | {through:.2f} | {self.median:.2f} | {PROMISES_MS[self.size]:g} |"


def main() -> None:
    """Measure, print the table, and say by the exit code whether the promise is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100, help="exchanges of each size and way (default: 100)")
    parser.add_argument("--model-last", action="store_true", help="the body names its model at its end")
    options = parser.parse_args()
    echo = subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True)
    try:
        assert echo.stdout is not None
        address = f"http://127.0.0.1:{int(echo.stdout.readline())}"
        found = asyncio.run(measured(address, max(options.rounds, 10), options.model_last))
    finally:
        echo.kill()
        echo.wait()
    print("| bytes up and down | straight, ms | through, ms | added, ms | promised, ms |")
    print("| --- | --- | --- | --- | --- |")
    print("\n".join(one.row for one in found))
    sys.exit(0 if all(one.median <= PROMISES_MS[one.size] for one in found) else 1)


async def measured(address: str, rounds: int, model_last: bool) -> list[Added]:
    """Measure every size."""
    order = ForwarderOrder(
        key=new_key(), models=frozenset({"local-llm"}), upstream=address, door="http://127.0.0.1:9", door_key="none"
    )
    async with forwarder(order, os.environ) as url:
        return [await asyncio.to_thread(one_size, address, url, size, rounds, model_last) for size in PROMISES_MS]


def one_size(address: str, url: str, size: int, rounds: int, model_last: bool) -> Added:
    """Measure exchanges of one size, in turns."""
    body = request_body(size, model_last)
    ways = [(Exchange(way, body), list[float]()) for way in (address, url)]
    for number in range(rounds + 5):
        for exchange, series in ways:
            took = exchange.once()
            if number >= 5:
                series.append(took)
    return Added(size, *(series for _, series in ways))


class Exchange:
    """A request that is sent again and again on one connection."""

    def __init__(self, url: str, body: bytes) -> None:
        host, _, path = url.removeprefix("http://").partition("/")
        self._connection = http.client.HTTPConnection(host)
        self._path = f"/{path}/v1/messages".replace("//", "/")
        self._body = body

    def once(self) -> float:
        """Send it, read the answer; returns milliseconds."""
        began = time.perf_counter()
        self._connection.request("POST", self._path, self._body, {"content-type": "application/json"})
        answer = self._connection.getresponse().read()
        took = time.perf_counter() - began
        assert answer == self._body
        return took * 1000


def request_body(size: int, model_last: bool) -> bytes:
    """Make a body of about `size` bytes: lines of code, as tools read them."""
    line = 'if name == "model":\n    return {"model": [name]}\n'
    model = {"model": "claude-opus-5-5"}
    message = {"messages": [{"role": "user", "content": line * max(1, (size - 100) // 60)}]}
    return json.dumps({**message, **model} if model_last else {**model, **message}).encode()


if __name__ == "__main__":
    main()
