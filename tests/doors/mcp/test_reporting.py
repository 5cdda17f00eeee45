"""How often progress is told, in virtual time."""

import asyncio
from itertools import pairwise
from typing import Any

import anyio
import pytest
from mcp.server.mcpserver import Context
from pydantic import Field

from mcp_local_llm.doors.mcp.progress import reporting
from mcp_local_llm.values.progress import PROGRESS_INTERVAL_S, PROGRESS_KEEPALIVE_S, Progress
from tests.virtual_time import VirtualTimeLoop


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


class Recorder(Context[Any, Any]):
    """Notes what would have been sent, and when."""

    sent: list[tuple[float, str]] = Field(default_factory=list[tuple[float, str]])

    def __init__(self) -> None:
        super().__init__()

    async def report_progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        assert total is None
        self.sent.append((progress, message or ""))


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_news_that_come_fast_are_told_four_times_a_second_and_the_latest_wins() -> None:
    recorder = Recorder()
    async with reporting(recorder, now) as report:
        for tokens in range(200):
            report(Progress("answer", tokens))
            await asyncio.sleep(0.01)
    gaps = [after - before for (before, _), (after, _) in pairwise(recorder.sent)]
    assert 7 <= len(recorder.sent) <= 9
    assert min(gaps) >= PROGRESS_INTERVAL_S
    assert recorder.sent[0] == (0.0, "0 tokens")
    assert all(int(words.split()[0]) / 100 == pytest.approx(when, abs=0.02) for when, words in recorder.sent)


async def test_the_first_news_are_told_at_once() -> None:
    recorder = Recorder()
    async with reporting(recorder, now) as report:
        await asyncio.sleep(1)
        report(Progress("loading"))
        await asyncio.sleep(0.01)
        assert recorder.sent == [(1.0, "loading")]


async def test_silence_repeats_the_last_words_so_that_no_client_gives_up() -> None:
    recorder = Recorder()
    async with reporting(recorder, now) as report:
        report(Progress("loading", 1, 4))
        await asyncio.sleep(60)
    assert {words for _, words in recorder.sent} == {"loading 25 %"}
    gaps = [after - before for (before, _), (after, _) in pairwise(recorder.sent)]
    assert max(gaps) <= PROGRESS_KEEPALIVE_S + PROGRESS_INTERVAL_S
    assert min(gaps) > 0


async def test_a_call_without_any_news_still_says_that_it_lives() -> None:
    recorder = Recorder()
    async with reporting(recorder, now):
        await asyncio.sleep(PROGRESS_KEEPALIVE_S + 1)
    assert [words for _, words in recorder.sent] == ["starting"]


async def test_nothing_is_told_after_the_end() -> None:
    recorder = Recorder()
    async with reporting(recorder, now) as report:
        report(Progress("loading"))
        await asyncio.sleep(0.1)
    report(Progress("answer", 1))
    await asyncio.sleep(60)
    assert len(recorder.sent) == 1


async def test_news_in_the_moment_of_the_end_do_not_keep_the_call() -> None:
    recorder = Recorder()
    with anyio.fail_after(60):
        async with reporting(recorder, now) as report:
            await asyncio.sleep(1)
            report(Progress("answer", 1))
    assert recorder.sent == []


async def test_an_error_of_the_call_comes_out_as_it_is() -> None:
    async def fail() -> None:
        async with reporting(Recorder(), now):
            await asyncio.sleep(0.1)
            raise KeyError

    with pytest.raises(KeyError):
        await fail()


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (Progress("queued", 1), "waiting, 1 call ahead"),
        (Progress("queued", 3), "waiting, 3 calls ahead"),
        (Progress("loading"), "loading"),
        (Progress("loading", 62, 100), "loading 62 %"),
        (Progress("prefill", 3100, 5000), "prefill 3.1k/5k"),
        (Progress("prefill", 812, 31_400), "prefill 812/31k"),
        (Progress("reasoning", 80, rate=40.6), "thinking, 80 tokens, 41 tok/s"),
        (Progress("answer", 212, rate=41.2), "212 tokens, 41 tok/s"),
        (Progress("answer", 1), "1 tokens"),
    ],
)
def test_progress_is_told_in_a_few_words(progress: Progress, words: str) -> None:
    assert str(progress) == words
