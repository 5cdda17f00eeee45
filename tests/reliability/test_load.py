"""Many calls: nothing lost, nothing mixed up, all as it was afterwards, and no memory that grows with their number."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from string import ascii_lowercase
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest

from tests.clients import WAIT_S
from tests.doors.http.test_serve import serve
from tests.model_cache import place_tiny
from tests.reliability.soak_traffic import traffic
from tests.sharing.sessions import LARGE, SMALL, failure, remove_runtime, report, resident_megabytes
from tests.wire import open_wire

CALLS = 200
CHANGES, KEPT_MB = 150, 0.013
"""Changes of the model, and what each may leave behind: a tokenizer once kept 19 kB, random keys 60 more."""
TOO_LONG, WORDS, WORDS_MB = 50, 6000, 0.25
"""Texts that are tokenized and then refused, and what each may leave behind: their words once stayed, 1 MB each."""
REFUSED, REFUSED_BYTES, REFUSED_MB = 30, 5_000_000, 1.0
"""Messages that are too long by far, and what each may leave behind: the errors about them once held 6 MB each."""
OVER_HTTP, BODY_BYTES, BODY_MB = 18, 1_000_000, 0.3
"""The same over HTTP; where all tokens are counted, because clients read the number, 18 MB of some once stayed."""
TOGETHER, TOGETHER_MB = 6, 40
"""Such messages side by side, and what all of them may leave behind: it was 300 MB and more, in the heap's pieces."""
HTTP: dict[str, Callable[[str], dict[str, Any]]] = {
    "/v1/chat/completions": lambda text: {"messages": [{"role": "user", "content": text}]},
    "/v1/messages": lambda text: {"messages": [{"role": "user", "content": text}], "max_tokens": 5},
    "/v1/responses": lambda text: {"input": text},
}


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


@pytest.mark.fault(
    "Load",
    f"{TOO_LONG} long texts, each with words of its own, and a change of the model after each",
    promised="memory does not grow with each",
)
async def test_texts_leave_no_memory_behind(environ: dict[str, str], home: Path, record_property: Any) -> None:
    record_property("tries", TOO_LONG)
    for repository in (SMALL, LARGE):
        place_tiny(home / ".cache" / "huggingface" / "hub", repository)
    drawn = Random(7)
    async with open_wire(environ) as wire:

        async def ask(count: int) -> float:
            for number in range(count):
                words = ("".join(drawn.choices(ascii_lowercase, k=6)) for _ in range(WORDS))
                asked = await wire.call("chat", message=" ".join(words), model=(SMALL, LARGE)[number % 2])
                assert "window" in await failure(wire, asked)
            return resident_megabytes(wire.process.pid)

        before = await ask(10)
        after = await ask(TOO_LONG)
    await anyio.to_thread.run_sync(remove_runtime, environ)
    assert after - before < TOO_LONG * WORDS_MB, (before, after)


@pytest.mark.fault(
    "Load",
    f"{REFUSED} messages of 5 MB, on stdio in the session that holds the model and in another one",
    promised="they are refused, and memory does not grow with each",
)
async def test_refused_messages_leave_no_memory_behind(environ: dict[str, str], record_property: Any) -> None:
    record_property("tries", REFUSED)
    async with open_wire(environ) as holder, open_wire(environ) as other:

        async def ask(count: int) -> tuple[float, float]:
            for number in range(count):
                for session in (holder, other):
                    asked = await session.call("chat", message=f"{number} " * (REFUSED_BYTES // 2), model="tiny")
                    assert "window" in await failure(session, asked)
            return resident_megabytes(holder.process.pid), resident_megabytes(other.process.pid)

        before = await ask(5)
        after = await ask(REFUSED)
    await anyio.to_thread.run_sync(remove_runtime, environ)
    assert all(last - first < REFUSED * REFUSED_MB for first, last in zip(before, after, strict=True)), (before, after)


@pytest.mark.fault(
    "Load",
    f"{OVER_HTTP} messages of 1 MB over HTTP, to each API, in one piece and as a stream, then {TOGETHER} at once",
    promised="they are refused, and memory does not grow with each",
)
async def test_refused_requests_leave_no_memory_behind(environ: dict[str, str], record_property: Any) -> None:
    record_property("tries", OVER_HTTP + TOGETHER)
    with serve(environ) as served:
        async with httpx.AsyncClient(base_url=served.url.removesuffix("/v1"), timeout=WAIT_S) as client:

            async def refused(number: int) -> None:
                path = [*HTTP][number % len(HTTP)]
                asked = HTTP[path](f"sentence{number} " * (BODY_BYTES // 10))
                body = {**asked, "model": "tiny", "stream": number % 2 > 0}
                reply = await client.post(path, json=body)
                # A stream that had to begin says it in its last event.
                assert reply.status_code == 400 or body["stream"], reply.text
                assert "4096" in reply.text.replace(",", ""), reply.text

            def memory() -> float:
                return resident_megabytes(served.process.pid)

            for number in range(6):
                await refused(number)
            before = memory()
            for number in range(OVER_HTTP):
                await refused(number)
            after = memory()
            async with anyio.create_task_group() as group:
                for number in range(TOGETHER):
                    group.start_soon(refused, number)
            together = memory()
    assert after - before < OVER_HTTP * BODY_MB, (before, after)
    assert together - after < TOGETHER_MB, (after, together)
