"""A step that does not return, in a real process: every session is told at once, and all goes on when it returns."""

from pathlib import Path

import anyio
import pytest

from tests.clients import POLL_S
from tests.sharing.sessions import GREETING, ask, begin, failure, report, sessions

HANGING = Path(__file__).parent / "hanging"


@pytest.mark.slow
async def test_a_step_that_hangs_is_told_to_every_session_with_the_process_to_end(
    environ: dict[str, str], tmp_path: Path
) -> None:
    hang = tmp_path / "hang"
    environ |= {"PYTHONPATH": str(HANGING), "HANG_WHILE": str(hang), "MCP_LOCAL_LLM_STEP_TIMEOUT_S": "1"}
    async with sessions(environ, 2) as (holder, other):
        assert await ask(holder) == GREETING
        running = [(session, await begin(session)) for session in (holder, other)]
        hang.touch()
        remedy = f"end process {holder.process.pid}"
        for session, request in running:
            assert remedy in await failure(session, request)
        for session in (holder, other):
            assert remedy in await failure(session, await session.call("chat", message="Hello"))
            status = await report(session, "status")
            assert any(remedy in note for note in status["notes"])
        hang.unlink()
        # The step returns in its own time.
        while any(remedy in note for note in (await report(other, "status"))["notes"]):
            await anyio.sleep(POLL_S)
        assert await ask(holder) == await ask(other) == GREETING
