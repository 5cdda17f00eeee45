"""Mixed calls over eight sessions for as long as is wanted: `python -m tests.reliability.soak --minutes 60`.

Every call must be answered once and rightly, or be cancelled; memory, file descriptors and threads must be flat. The
outcome is a table of `docs/reliability.md`; where anything is wrong it is told with the seed, and the exit code is 1.
"""

import argparse
import importlib
import platform
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from random import SystemRandom

import anyio
import anyio.to_thread
import psutil

from tests.reliability.proofs import Table
from tests.reliability.soak_calls import Ending
from tests.reliability.soak_figures import (
    FILES_MORE,
    MEMORY_MB,
    MEMORY_SHARE,
    THREADS_MORE,
    Figures,
    Trend,
)
from tests.reliability.soak_traffic import LINES, OVER_HTTP, OVER_STDIO, RealModel, Tally, Traffic, traffic
from tests.source import ROOT

FOLDER = ROOT / ".cache" / "reliability"
SAMPLES = 60
"""Looks at the processes in each third of a run."""
WARM_UP_CALLS = 400
"""Calls that end at least before the second third begins: up to then, memory still rises by what is kept for later."""


async def soak(minutes: float, seed: int, model: RealModel | None) -> tuple[Tally, Figures]:
    """Send calls for so many minutes; returns what came of them and what was measured."""
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as folder:
        async with traffic(Path(folder), seed, model) as under_way:
            await under_way.load_largest()
            for third in range(3):
                await _third(under_way, figures, third, minutes * 20, 0 if third else WARM_UP_CALLS)
                await under_way.require_sane()
                print(f"third {third + 1} of 3: {under_way.tally.calls:,} calls", flush=True)
            await under_way.leave()
            return under_way.tally, figures


async def _third(under_way: Traffic, figures: Figures, third: int, seconds: float, calls: int) -> None:
    end = time.monotonic() + seconds
    async with anyio.create_task_group() as watching:

        async def look() -> None:
            while True:
                await anyio.sleep(seconds / SAMPLES)
                await anyio.to_thread.run_sync(figures.look, under_way.pids(), third)

        watching.start_soon(look)
        await under_way.run(lambda: time.monotonic() < end or under_way.tally.calls < calls)
        watching.cancel_scope.cancel()


def tables(minutes: float, seed: int, real: bool, tally: Tally, trends: list[Trend]) -> list[Table]:
    """Return what the page shows: the calls, and the processes."""
    length = {60: "An hour", 1: "A minute"}.get(round(minutes), f"{minutes:g} minutes")
    machine = (
        f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 1e9:.0f} GB, "
        f"{platform.system()} {platform.machine()}"
    )
    models = "three copies of the built-in model" + (" and a real one of 135 million parameters" if real else "")
    text = (
        f"{tally.calls:,} calls over {OVER_STDIO} sessions on stdio and {OVER_HTTP} on HTTP, {LINES} at a time in "
        f"each, with {models}; seed {seed}, {machine}. Every answer is compared with the one that is known. "
        f"`make soak MINUTES={minutes:g}` does it."
    )
    kinds = {*tally.ended, *tally.wrong}
    rows = [_row(kind, tally.ended.get(kind, Counter()), len(tally.wrong.get(kind, []))) for kind in sorted(kinds)]
    calls = Table(f"{length} of mixed calls", text, ("call", "answered", "refused", "cancelled", "wrong or lost"), rows)
    bound = (
        f"Lower quartiles of the second and the last third of the run; the first is the warm-up, of {WARM_UP_CALLS} "
        f"calls or more. Flat means: memory (resident set) at most {MEMORY_SHARE:.0%} and {MEMORY_MB:g} MB higher, at "
        f"most {FILES_MORE} more file descriptors and {THREADS_MORE} more threads, which go up and down with the calls "
        f"under way."
    )
    columns = ("process", "memory, MB", "file descriptors", "threads", "flat")
    return [calls, Table(f"{length} of mixed calls: the processes", bound, columns, [_trend(one) for one in trends])]


def _row(kind: str, ended: Counter[Ending], wrong: int) -> list[str]:
    return [kind, f"{ended['answered']:,}", f"{ended['refused']:,}", f"{ended['cancelled']:,}", f"{wrong:,}"]


def _trend(trend: Trend) -> list[str]:
    pairs = (
        f"{trend.second.memory_mb:.1f} → {trend.last.memory_mb:.1f}",
        f"{trend.second.files} → {trend.last.files}",
        f"{trend.second.threads} → {trend.last.threads}",
    )
    name = f"{trend.name}, which holds the model" if trend.name == "stdio0" else trend.name
    return [name, *pairs, "**no**" if trend.risen else "yes"]


def kept_real_model() -> RealModel | None:
    """Return the real model with what bare mlx-lm answers, where `make real-model` has made it."""
    kept = importlib.import_module("training.real_model").kept_model()
    if kept is None:
        return None
    known = importlib.import_module("tests.real.conftest")
    references = known.bare_answers(kept, known.QUESTIONS[:4])
    return RealModel(kept.mlx, {question: one.text for question, one in references.items()})


def main() -> int:
    """Run a soak, save its tables and tell what was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None, help="draws the same calls again")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the tables go")
    asked = parser.parse_args()
    seed = SystemRandom().randrange(10**6) if asked.seed is None else asked.seed
    print(f"seed {seed}", flush=True)
    model = kept_real_model()
    tally, figures = anyio.run(partial(soak, asked.minutes, seed, model))
    trends = figures.trends()
    for table in tables(asked.minutes, seed, model is not None, tally, trends):
        table.save(asked.folder)
        print(f"\n{table.title}\n{table.text}", *(" | ".join(row) for row in table.rows), sep="\n")
    faults = [f"{kind}: {told}" for kind, every in tally.wrong.items() for told in every]
    faults += [words for trend in trends for words in trend.risen]
    if faults:
        print(f"\n{len(faults)} faults with --seed {seed}:", *faults[:50], sep="\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
