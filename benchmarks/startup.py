"""How soon a server answers its first request, and how soon its process ends: `python -m benchmarks.startup`.

The reference is a bare `MCPServer` with one echo tool, started in turns with ours, so that both meet the same machine.
Exits with 1 where ours takes longer than the promise.
"""

import argparse
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from benchmarks.figures import Row, compare, table
from benchmarks.pipe import HANDSHAKES, SERVER, Pipe, tool_call

MOST = 1.3
"""The promise: at most so many times the bare server's time to the first answer."""
END_TARGET_S = 0.1

BARE = """
from mcp.server import MCPServer
server = MCPServer("echo", log_level="WARNING")
@server.tool()
def echo(text: str) -> str:
    return text
server.run("stdio")
"""
REFERENCE = (sys.executable, "-c", BARE)

ENDINGS: dict[str, Callable[[Pipe], None]] = {
    "stdin EOF": lambda pipe: _stdin(pipe).close(),
    "SIGINT": lambda pipe: pipe.process.send_signal(signal.SIGINT),
    "SIGTERM": lambda pipe: pipe.process.send_signal(signal.SIGTERM),
}


def main() -> None:
    """Measure, print the tables, and say by the exit code whether the promise is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each kind, at least 7 (default: 9)")
    rounds = max(parser.parse_args().rounds, 7)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        rows = [first_answer(method, home, rounds) for method in HANDSHAKES]
        print(table(rows), flush=True)
        print()
        print("| process end | while | median | slowest | target |")
        print("| --- | --- | --- | --- | --- |")
        for name in ENDINGS:
            for state in ("idle", "generating"):
                seconds = [end(name, home, generating=state == "generating") for _ in range(rounds)]
                middle, slowest = statistics.median(seconds) * 1000, max(seconds) * 1000
                print(f"| {name} | {state} | {middle:.0f} ms | {slowest:.0f} ms | {END_TARGET_S * 1000:.0f} ms |")
    sys.exit(0 if all(row.met for row in rows) else 1)


def first_answer(method: str, home: Path, rounds: int) -> Row:
    """Compare the seconds from the start of the process to the answer of `method`."""
    ours: list[float] = []
    theirs: list[float] = []
    # The first round of each reads the files into the system's cache, and counts for nothing.
    for number in range(rounds + 1):
        for command, series in ((SERVER, ours), (REFERENCE, theirs)):
            with Pipe(command, home) as pipe:
                seconds = pipe.shake_hands(method)
            if number > 0:
                series.append(seconds * 1000)
    return compare(f"start to `{method}`", "none", ours, theirs, "ms", most=MOST)


def end(name: str, home: Path, *, generating: bool) -> float:
    """Return the seconds from asking the process to end to its end."""
    with Pipe(SERVER, home) as pipe:
        pipe.discover()
        if generating:
            pipe.call("chat", message="Hello", thinking=False)
            endless = tool_call(
                "chat", message="Repeat the word la forever.", thinking=False, max_tokens=3900, progress=1
            )
            pipe.send("tools/call", endless)
            while "tokens" not in str(pipe.next().get("params")):
                pass
        began = time.perf_counter()
        ENDINGS[name](pipe)
        code = pipe.process.wait(timeout=10)
        seconds = time.perf_counter() - began
    assert code == 0, f"{name}: the exit code is {code}"
    return seconds


def _stdin(pipe: Pipe) -> IO[bytes]:
    assert pipe.process.stdin is not None
    return pipe.process.stdin


if __name__ == "__main__":
    main()
