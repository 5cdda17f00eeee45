"""What it costs a session that another process holds the model: `python -m benchmarks.attached [--only NAME]`.

    calls   one token, attached less in the lease owner, without other models on disk and with 40; tokens per second
    http    an HTTP call that names the resident model against one that names none, with 40 models on disk; the same
            call with 40 models on disk against none
    memory  resident memory of an attached session against a bare `MCPServer` with five tools

Processes are asked over real pipes and sockets, in turns, so all that differs is what is compared. The model is
`tiny`, whose arithmetic is nothing. Exits with 1 where something costs more than was promised.
"""

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.discovered import model_in
from benchmarks.figures import Row, Series, compare, require_tokens, table
from benchmarks.model_folders import fill_hub_cache, make_endless_tiny
from benchmarks.pipe import SERVER, Pipe, environment

MODELS = 40
MOST_DELAY_MS = 3.0
MOST_NAMED = 1.2
LEAST_RATE = 0.98
MOST_MEMORY = 1.10
"""The promises."""

FEWEST_ROUNDS = 5
CALLS = 10
"""Calls of one token by each side in a round."""
LONG_CALLS = 3
"""Long answers by each side in a round."""
TOKENS = 200
"""Tokens of a long answer."""
PROCESSES = 5
"""Pairs of processes whose memory is compared, at most."""

BARE = """
from mcp.server import MCPServer
server = MCPServer("bare", log_level="WARNING")
@server.tool()
def one(text: str) -> str:
    return text
@server.tool()
def two(text: str) -> str:
    return text
@server.tool()
def three(text: str) -> str:
    return text
@server.tool()
def four(text: str) -> str:
    return text
@server.tool()
def five(text: str) -> str:
    return text
server.run("stdio")
"""
REFERENCE = (sys.executable, "-c", BARE)

Settings = Mapping[str, str]


@dataclass(frozen=True)
class Place:
    """A home folder with `models` models in its hub cache beside `tiny`, and the settings of a session in it."""

    home: Path
    models: int
    settings: Settings
    model: str


@dataclass(frozen=True)
class Pair:
    """Two sessions in one place: the one that holds the model, and one that is attached to it."""

    place: Place
    owner: Pipe
    attached: Pipe

    def turns(self, number: int) -> tuple[tuple[str, Pipe], ...]:
        """Return both sides in the order of round `number`, which changes with each."""
        sides = (("attached", self.attached), ("owner", self.owner))
        return sides if number % 2 else sides[::-1]


def main() -> None:
    """Measure, print the table, and say by the exit code whether the promises are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each kind, at least 5 (default: 15)")
    parser.add_argument("--only", choices=COMPARISONS, action="append", help="one comparison (may be given again)")
    options = parser.parse_args()
    rounds = max(options.rounds, FEWEST_ROUNDS)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder).resolve()
        places = {models: make_place(scratch, models) for models in (0, MODELS)}
        for name in options.only or COMPARISONS:
            rows += COMPARISONS[name](places, rounds)
    print(table(rows))
    print("\nratio: ours over the reference; for one token the median difference, in milliseconds")
    sys.exit(0 if all(row.met for row in rows) else 1)


def make_place(scratch: Path, models: int) -> Place:
    """Make a home folder in which sessions use `tiny`."""
    home = scratch / f"home-{models}"
    folder = home / "models" / "bench-tiny"
    make_endless_tiny(folder)
    fill_hub_cache(home, models)
    model = model_in(folder).id
    return Place(home, models, {"MCP_LOCAL_LLM_FOLDERS": str(folder.parent), "MCP_LOCAL_LLM_MODEL": model}, model)


def calls(places: Mapping[int, Place], rounds: int) -> list[Row]:
    """One token and a long answer, attached against in the lease owner; all four sessions take turns."""
    first = {models: Series() for models in places}
    rate = Series()
    with ExitStack() as stack:
        pairs = [stack.enter_context(pair_in(place)) for place in places.values()]
        for number in range(-1, rounds):
            for call in range(CALLS):
                for pair in pairs:
                    took = {name: 1000 * ask(pipe, 1) for name, pipe in pair.turns(number + call)}
                    first[pair.place.models].add(number, **took)
            pair = pairs[0]
            for call in range(LONG_CALLS):
                took = {name: TOKENS / ask(pipe, TOKENS) for name, pipe in pair.turns(number + call)}
                rate.add(number, **took)
    rows = [_delay(models, series) for models, series in first.items()]
    what = f"{TOKENS} tokens, attached / lease owner"
    return [*rows, compare(what, "tiny", rate["attached"], rate["owner"], "tok/s", least=LEAST_RATE)]


def _delay(models: int, series: Series) -> Row:
    there, here = series["attached"], series["owner"]
    more = statistics.median(one - other for one, other in zip(there, here, strict=True))
    what = "one token, attached less lease owner" + (f", {models} models on disk" if models else "")
    return Row(what, "tiny", statistics.median(there), statistics.median(here), "ms", more, most=MOST_DELAY_MS)


def named_over_http(places: Mapping[int, Place], rounds: int) -> list[Row]:
    """One token over HTTP: a request that names the resident model against one that names none."""
    named, unnamed = ({models: Series() for models in places} for _ in range(2))
    with ExitStack() as stack:
        servers = {models: stack.enter_context(served(place)) for models, place in places.items()}
        for number in range(-1, rounds):
            for call in range(CALLS):
                for models, place in places.items():
                    sides = ((named, place.model), (unnamed, None))
                    for series, model in sides if (number + call) % 2 else sides[::-1]:
                        series[models].add(number, ms=1000 * post(servers[models], model))
    what = "one token over HTTP, the resident model named"
    return [
        compare(
            f"{what} / none named, {MODELS} models on disk",
            "tiny",
            named[MODELS]["ms"],
            unnamed[MODELS]["ms"],
            "ms",
            most=MOST_NAMED,
        ),
        # The first row would not show a cost that both of its sides have.
        compare(f"{what}, {MODELS} models on disk / none", "tiny", named[MODELS]["ms"], named[0]["ms"], "ms"),
    ]


def memory(places: Mapping[int, Place], rounds: int) -> list[Row]:
    """Resident memory after `chat`, `status` and `list_models` in an attached session, against a bare server's."""
    place = places[MODELS]
    sizes = Series()
    with started(place) as owner:
        ask(owner, 1)
        for number in range(min(rounds, PROCESSES)):
            with started(place) as attached, Pipe(REFERENCE, place.home) as bare:
                ask(attached, 1)
                ask(attached, TOKENS)
                require_attached(attached)
                attached.call("list_models")
                bare.discover()
                bare.call("one", text="Hello")
                sizes.add(number, attached=resident_mib(attached), bare=resident_mib(bare))
    what = "resident memory, attached session / bare `MCPServer` with five tools"
    return [compare(what, "tiny", sizes["attached"], sizes["bare"], "MiB", most=MOST_MEMORY)]


COMPARISONS: Mapping[str, Callable[[Mapping[int, Place], int], list[Row]]] = {
    "calls": calls,
    "http": named_over_http,
    "memory": memory,
}


@contextmanager
def started(place: Place) -> Generator[Pipe]:
    """Start a session of ours over stdio, after its handshake."""
    with Pipe(SERVER, place.home, place.settings) as pipe:
        pipe.discover()
        yield pipe


@contextmanager
def pair_in(place: Place) -> Generator[Pair]:
    """Start two sessions; the first one that asks holds the model."""
    with started(place) as owner, started(place) as attached:
        ask(owner, 1)
        ask(attached, 1)
        require_attached(attached)
        yield Pair(place, owner, attached)


def require_attached(pipe: Pipe) -> None:
    """Make sure that this session does not hold the model."""
    status = pipe.call("status")["structuredContent"]
    if status["holder_pid"] in (None, status["pid"]):
        raise RuntimeError(f"the second session is not attached: {status}")


def ask(pipe: Pipe, tokens: int) -> float:
    """Return the seconds of a call with an answer of `tokens` tokens; the prompt is always the same."""
    began = time.perf_counter()
    result = pipe.call("chat", message="Hello", thinking=False, max_tokens=tokens, temperature=0.0)
    seconds = time.perf_counter() - began
    require_tokens(result["_meta"]["local-llm/result"]["usage"]["completion_tokens"], tokens)
    return seconds


@contextmanager
def served(place: Place) -> Generator[http.client.HTTPConnection]:
    """Start `serve` with the model loaded; yields a connection that is kept open."""
    command = [*SERVER, "serve", "--port", "0", "--model", place.model]
    environ = environment(place.home, place.settings)
    process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stderr is not None
            url = next(line.split()[-1] for line in process.stderr if "serving http" in line)
            address = url.removeprefix("http://").partition("/")[0]
            connection = http.client.HTTPConnection(address, timeout=60)
            yield connection
            connection.close()
        finally:
            process.kill()


def post(connection: http.client.HTTPConnection, model: str | None) -> float:
    """Return the seconds of a completion of one token."""
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1, "temperature": 0}
    body |= {} if model is None else {"model": model}
    began = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    text = response.read()
    seconds = time.perf_counter() - began
    if response.status != 200:
        raise RuntimeError(f"the request failed: {text[:500]!r}")
    return seconds


def resident_mib(pipe: Pipe) -> float:
    """Return the resident memory of a process in MiB."""
    return psutil.Process(pipe.process.pid).memory_info().rss / 2**20


if __name__ == "__main__":
    main()
