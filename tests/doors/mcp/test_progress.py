"""Progress of real calls, and calls beside each other."""

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from itertools import pairwise
from typing import Any

import anyio
from mcp import Client

from tests.clients import WAIT_S
from tests.doors.mcp.answers import ask, numbers, texts

Door = Callable[[], AbstractAsyncContextManager[Client]]
ENDLESS = {"message": "Repeat the word la forever.", "thinking": False}
NOTE_WORDING = re.compile(
    r"starting|loading( \d+ %)?|prefill \d+/\d+|waiting, \d+ calls? ahead|\d+ tokens(, \d+ tok/s)?"
)


async def test_a_first_call_tells_the_load_and_then_the_tokens_in_words(door: Door) -> None:
    told: list[tuple[float, str]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message or ""))

    async with door() as client:
        result = await client.call_tool("chat", {**ENDLESS, "max_tokens": 500}, progress_callback=hear)
    timings = numbers(result)["timings"]
    words = [message for _, message in told]
    assert [message for message in words if not NOTE_WORDING.fullmatch(message)] == []
    assert words[0].startswith("loading")
    assert any("tok/s" in message for message in words)
    assert all(before < after for (before, _), (after, _) in pairwise(told))
    assert len(told) <= 4 * sum(timings.values()) + 3


async def test_parallel_chats_are_answered_in_order_while_status_answers_meanwhile(door: Door) -> None:
    answered: list[str] = []
    generating = anyio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        if "tokens" in (message or ""):
            generating.set()

    async with door() as client:
        await ask(client, "Hello")

        async def chat(name: str, arguments: dict[str, Any]) -> None:
            await client.call_tool("chat", {**ENDLESS, **arguments}, progress_callback=hear)
            answered.append(name)

        with anyio.fail_after(WAIT_S):
            async with anyio.create_task_group() as tasks:
                for name in ("first", "second", "third"):
                    tasks.start_soon(chat, name, {"max_tokens": 250})
                    await anyio.wait_all_tasks_blocked()
                await generating.wait()
                now = (await client.call_tool("status")).structured_content
                assert now is not None
                assert (now["state"], now["calls_running"] + now["waiting"]) == ("ready", 3)
                assert answered == []
    assert answered == ["first", "second", "third"]


async def test_a_cancelled_call_frees_its_place_and_the_next_one_is_right(door: Door) -> None:
    generating = anyio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        if "tokens" in (message or ""):
            generating.set()

    async with door() as client:
        with anyio.fail_after(WAIT_S):
            async with anyio.create_task_group() as tasks:

                async def give_up() -> None:
                    await generating.wait()
                    tasks.cancel_scope.cancel()

                tasks.start_soon(give_up)
                await client.call_tool("chat", {**ENDLESS, "max_tokens": 3000}, progress_callback=hear)
        assert texts(await ask(client, "Hello")) == ["Hello! How can I help you today?"]
        now = (await client.call_tool("status")).structured_content
        assert now is not None
        assert (now["state"], now["calls_running"], now["calls_answered"]) == ("ready", 0, 1)
