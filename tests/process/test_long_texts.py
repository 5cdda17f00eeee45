"""A text that no window holds is refused at once, and other calls go on meanwhile."""

import pytest

from tests.wire import open_wire


@pytest.mark.slow
async def test_a_million_words_are_refused_and_hold_nobody_up(environ: dict[str, str]) -> None:
    async with open_wire(environ) as wire:
        counting = await wire.call("chat", message="Count from 1 to 150.", thinking=False)
        await wire.progress(counting, 2)
        long = await wire.call("chat", message="word " * 1_000_000)
        given_up = await wire.call("chat", message="word " * 1_000_000)
        await wire.cancel(given_up)
        assert "context window of 4096 tokens" in await wire.text(long)
        assert (await wire.text(counting)).endswith("149, 150")
        assert not wire.answers(given_up)
