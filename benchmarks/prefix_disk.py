"""What the disk saves after a restart: `python -m benchmarks.prefix_disk [--models tiny,small] [--tokens 4096]`.

Seconds to the first token of a second question about a long text, by an engine that finds the text on the disk and by
one that finds nothing. Both have loaded the model and answered a short question before.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from benchmarks.bare import Bare
from benchmarks.figures import Row, Series, compare, table
from benchmarks.subjects import Sizes, Subject, ask, engine_for, make_subject, user, words
from mcp_local_llm.engines.mlx import EngineLimits, PrefixDiskLimits
from mcp_local_llm.values.chat import Message

LEAST = 5.0
LIMIT_BYTES = 16 * 2**30


async def second_question(subject: Subject, scratch: Path, tokens: int) -> Row:
    """Compare an engine that reads the text's KV cache with one that computes it."""
    bare, series = Bare(subject.info.path), Series()
    disk = EngineLimits(prefix_disk=PrefixDiskLimits(scratch / "prefixes", LIMIT_BYTES))
    for number in range(subject.sizes.rounds):
        text = words(tokens, bare, f"file {number}")
        first, second = (user(f"{text}\n\n{question}") for question in ("What is it?", "And why?"))
        async with engine_for(subject, disk) as engine:
            await ask(engine, first, 1)
            await engine.unload()
        read = await _first_token(subject, disk, second, cached=True)
        computed = await _first_token(subject, EngineLimits(), second, cached=False)
        series.add(number, read=1000 * read, computed=1000 * computed)
    what = f"first token after a restart, {tokens} tokens, computed / from the disk"
    return compare(what, subject.name, series["computed"], series["read"], "ms", least=LEAST)


async def _first_token(subject: Subject, limits: EngineLimits, messages: list[Message], *, cached: bool) -> float:
    """Return the seconds to the first token in a fresh engine."""
    async with engine_for(subject, limits) as engine:
        await ask(engine, user("Hello"), 1)
        result, seconds = await ask(engine, messages, 1)
    share = result.usage.cached_tokens / result.usage.prompt_tokens
    if share < 0.95 if cached else share > 0.05:
        raise RuntimeError(f"{share:.0%} of the prompt were known")
    return seconds


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="tiny,small", help="tiny, small, realistic; separated by commas")
    parser.add_argument("--tokens", type=int, default=4096, help="of the text (default: 4096)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each kind (default: 5)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder).resolve()
        subjects = [make_subject(name, scratch, Sizes(options.rounds)) for name in options.models.split(",")]
        rows = [asyncio.run(second_question(subject, scratch, options.tokens)) for subject in subjects]
    print(table(rows))


if __name__ == "__main__":
    main()
