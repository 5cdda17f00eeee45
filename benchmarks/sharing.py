"""What it costs a session that another one holds the model: `python -m benchmarks.sharing [--models tiny,realistic]`.

Two server processes in one home: the first call makes one of them the holder, and the other attaches to it. Both are
asked over their own stdio, in turns, so all that differs is the way from the attached process to the holder. Exits with
1 where that way costs more than was promised.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

from mcp import Client

from benchmarks.figures import Row, Series, compare, table
from benchmarks.subjects import Sizes, Subject, ask_stdio, make_subject, stdio_for

LEAST_RATE = 0.97
"""The promise: at most 3 % fewer tokens per second."""
MOST_DELAY_MS = 10.0
"""The promise: at most so much more to the first token."""
FEWEST_ROUNDS = 5
TRIES = range(5)
"""Measurements of the first token in a round."""
DECODE = {"realistic": 32}
"""Tokens of an answer, where a model takes seconds for fewer than usual."""
QUESTION = "Tell me a long story about the number {}."


async def attached(subject: Subject, scratch: Path) -> list[Row]:
    """Decode speed and time to the first token, attached against in the holder itself."""
    rate, first = Series(), Series()
    async with stdio_for(subject, scratch) as holder, stdio_for(subject, scratch) as other:
        # Whoever asks first holds the model.
        await ask_stdio(holder, "Hello", 1)
        await ask_stdio(other, "Hello", 1)
        await _require_attached(other)
        for number in range(-1, subject.sizes.rounds):
            sides = (("here", holder), ("there", other))
            turns = sides if number % 2 else sides[::-1]
            question = QUESTION.format(number + 1)
            # Read once before it is measured: both sides meet the holder's cache as it is then, and what is measured
            # is short beside the way, however slow the model reads.
            await ask_stdio(holder, question, 1)
            firsts = [{name: (await ask_stdio(client, question, 1))[1] for name, client in turns} for _ in TRIES]
            for seconds in firsts:
                first.add(number, **{name: 1000 * one for name, one in seconds.items()})
            for name, client in turns:
                _, whole = await ask_stdio(client, question, subject.sizes.decode)
                before = statistics.median(seconds[name] for seconds in firsts)
                rate.add(number, **{name: (subject.sizes.decode - 1) / (whole - before)})
    more = statistics.median(there - here for there, here in zip(first["there"], first["here"], strict=True))
    there, here = statistics.median(first["there"]), statistics.median(first["here"])
    return [
        compare("decode, attached / holder", subject.name, rate["there"], rate["here"], "tok/s", least=LEAST_RATE),
        Row("first token, attached less holder", subject.name, there, here, "ms", more, most=MOST_DELAY_MS),
    ]


async def _require_attached(client: Client) -> None:
    """Make sure that this session does not hold the model."""
    status = (await client.call_tool("status")).structured_content
    if status is None or status["holder_pid"] in (None, status["pid"]):
        raise RuntimeError(f"the second session is not attached: {status}")


def main() -> None:
    """Measure, print the table, and say by the exit code whether the promise is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="tiny,small", help="tiny, small, realistic; separated by commas")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each kind, at least 5 (default: 9)")
    options = parser.parse_args()
    rounds = max(options.rounds, FEWEST_ROUNDS)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder).resolve()
        for name in options.models.split(","):
            sizes = Sizes(rounds, DECODE[name]) if name in DECODE else Sizes(rounds)
            rows += asyncio.run(attached(make_subject(name, scratch, sizes), scratch))
    print(table(rows))
    print("\nratio: attached over holder; for the first token the median difference, in milliseconds")
    sys.exit(0 if all(row.met for row in rows) else 1)


if __name__ == "__main__":
    main()
