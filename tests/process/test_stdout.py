"""stdout carries the protocol and nothing else."""

from pathlib import Path

import pytest

from tests.wire import Wire, open_wire

NOISY = Path(__file__).parent / "noisy"
STEPS = ("importing mlx_lm.utils", "importing mlx_lm.models.qwen3", "calling load_model", "calling Model.__call__")
NOISE = [f"{step} {way}" for step in STEPS for way in ("through Python", "past Python", "from a child")]


@pytest.fixture
def noisy(environ: dict[str, str]) -> dict[str, str]:
    return environ | {"PYTHONPATH": str(NOISY)}


async def test_libraries_that_print_do_not_reach_the_wire(noisy: dict[str, str], era: str) -> None:
    async with open_wire(noisy, era) as wire:
        assert await wire.text(await wire.call("chat", message="Hello")) == "Hello! How can I help you today?"
        await wire.answer(await wire.call("quick_test", test="hello"))
        await wire.answer(await wire.call("list_models"))
        await wire.close_stdin()
        assert await wire.ended() == 0
        only_the_protocol(wire)
        told = wire.errors()
    assert [noise for noise in NOISE if noise not in told] == []


@pytest.mark.parametrize("steps", [1, 2])
async def test_what_is_printed_while_the_process_ends_does_not_reach_the_wire(
    noisy: dict[str, str], steps: int
) -> None:
    async with open_wire(noisy) as wire:
        request = await wire.call("chat", message="Repeat the word la forever.", max_tokens=3000)
        await wire.progress(request, steps)
        await wire.close_stdin()
        assert await wire.ended() == 0
        only_the_protocol(wire)


async def test_lines_that_are_no_messages_are_passed_over(environ: dict[str, str], era: str) -> None:
    async with open_wire(environ, era) as wire:
        assert wire.process.stdin is not None
        await wire.process.stdin.send(b"garbage\n[]\n\xff\xfe\n{\n")
        assert "unloaded" in await wire.text(await wire.call("status"))
        only_the_protocol(wire)


def only_the_protocol(wire: Wire) -> None:
    """Every line is a message, and every message an answer or a notification that was asked for."""
    for message in wire.messages():
        assert "id" in message or message["method"] == "notifications/progress", message
