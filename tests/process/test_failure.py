"""A failure inside MLX in a real process: its calls get errors, and the process goes on and ends in order."""

from pathlib import Path

from tests.wire import open_wire

FAILING = Path(__file__).parent / "failing"
CALLS = 3


async def test_a_failure_in_the_middle_of_a_batch_costs_its_calls_and_neither_the_model_nor_the_process(
    environ: dict[str, str], era: str
) -> None:
    async with open_wire(environ | {"PYTHONPATH": str(FAILING)}, era) as wire:
        long = {"message": "Repeat the word la forever.", "thinking": False, "max_tokens": 3900}
        calls = [await wire.call("chat", **long) for _ in range(CALLS)]
        for call in calls:
            result = (await wire.answer(call))["result"]
            assert result["isError"]
            assert "Insufficient Memory" in result["content"][0]["text"]
            assert "next request starts afresh" in result["content"][0]["text"]
        assert await wire.text(await wire.call("chat", message="Hello")) == "Hello! How can I help you today?"
        now = (await wire.answer(await wire.call("status")))["result"]["structuredContent"]
        assert (now["state"], now["calls_running"], now["calls_answered"]) == ("ready", 0, 1)
        await wire.close_stdin()
        assert await wire.ended() == 0
        assert wire.errors().count("loading a model") == 1
