"""Two hundred mixed calls over eight sessions: nothing lost, nothing mixed up, and all as it was afterwards."""

from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from tests.model_cache import place_tiny
from tests.reliability.soak_traffic import traffic
from tests.sharing.sessions import LARGE, SMALL, remove_runtime, report, resident_megabytes
from tests.wire import open_wire

CALLS = 200
CHANGES, KEPT_MB = 150, 0.013
"""Changes of the model, and what each may leave behind: a tokenizer once kept 19 kB, random keys 60 more."""


@pytest.mark.fault(
    "Load",
    "200 mixed calls over 8 sessions, stdio and HTTP, with cancelled calls, changes of the model, drafts and time-outs",
    promised="each call gets its own, right answer once, or is cancelled; then nothing is under way and all answer",
    tries=3,
)
async def test_two_hundred_mixed_calls_are_answered_rightly_or_cancelled(home: Path, attempt: int) -> None:
    left = [CALLS]

    def more() -> bool:
        left[0] -= 1
        return left[0] >= 0

    async with traffic(home, attempt) as under_way:
        await under_way.run(more)
        await under_way.require_sane()
        await under_way.leave()
    assert under_way.tally.wrong == {}, f"seed {attempt}"
    assert under_way.tally.calls == CALLS


@pytest.mark.fault(
    "Load",
    "150 changes between two models",
    promised="memory does not grow with each",
)
async def test_changes_of_the_model_leave_no_memory_behind(
    environ: dict[str, str], home: Path, record_property: Any
) -> None:
    record_property("tries", CHANGES)
    for repository in (SMALL, LARGE):
        place_tiny(home / ".cache" / "huggingface" / "hub", repository)
    async with open_wire(environ) as wire:

        async def change(count: int) -> float:
            for number in range(count):
                await report(wire, "set_model", name=(SMALL, LARGE)[number % 2])
            return resident_megabytes(wire.process.pid)

        before = await change(30)
        after = await change(CHANGES)
    await anyio.to_thread.run_sync(remove_runtime, environ)
    assert after - before < CHANGES * KEPT_MB, (before, after)
