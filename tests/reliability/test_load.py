"""Two hundred mixed calls over eight sessions: nothing lost, nothing mixed up, and all as it was afterwards."""

from pathlib import Path

import pytest

from tests.reliability.soak_traffic import traffic

CALLS = 200


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
