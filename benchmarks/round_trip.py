"""What the way to the engine and back costs: `python -m benchmarks.round_trip`.

A client over real pipes asks the built-in model for one token. From the seconds that the call takes, those that the
engine itself reports (queue, load, prefill, decode) are taken away; the rest is the protocol, the process and us.
Exits with 1 where the median is above the promise.
"""

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.pipe import SERVER, Pipe

MOST_MS = 5.0
"""The promise, for the median."""


@dataclass(frozen=True)
class RoundTrip:
    """One call, in milliseconds: all of it, and what the engine took."""

    whole: float
    engine: float

    @property
    def around(self) -> float:
        """What was not the engine."""
        return self.whole - self.engine


def main() -> None:
    """Measure, print the table, and say by the exit code whether the promise is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60, help="calls, at least 30 (default: 60)")
    rounds = max(parser.parse_args().rounds, 30)
    with tempfile.TemporaryDirectory() as folder, Pipe(SERVER, Path(folder)) as pipe:
        pipe.discover()
        for _ in range(5):
            one_token(pipe)
        trips = [one_token(pipe) for _ in range(rounds)]
    around = statistics.median(trip.around for trip in trips)
    print("| one token over stdio | median | slowest |")
    print("| --- | --- | --- |")
    for name, series in (
        ("the call", [trip.whole for trip in trips]),
        ("the engine in it", [trip.engine for trip in trips]),
        ("the rest", [trip.around for trip in trips]),
    ):
        print(f"| {name} | {statistics.median(series):.2f} ms | {max(series):.2f} ms |")
    print(f"\npromised: the rest at most {MOST_MS:g} ms; {rounds} calls")
    sys.exit(0 if around <= MOST_MS else 1)


def one_token(pipe: Pipe) -> RoundTrip:
    """Ask for one token."""
    began = time.perf_counter()
    result = pipe.call("chat", message="Hello", thinking=False, max_tokens=1)
    whole = time.perf_counter() - began
    timings: dict[str, float] = result["_meta"]["local-llm/result"]["timings"]
    return RoundTrip(whole * 1000, sum(timings.values()) * 1000)


if __name__ == "__main__":
    main()
