"""The choice of model: by name, kept, and never lost to a failed load."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from tests.clients import WAIT_S, stdio_client
from tests.doors.mcp.answers import ask, numbers, refusal, texts
from tests.model_cache import place_tiny
from tests.process.conftest import LARGE, MIXED, SMALL

NAMES = [
    ("1", LARGE),
    ("#2", SMALL),
    ("32b", LARGE),
    ("7B", SMALL),
    ("a3b", MIXED),
    ("coder 7b", SMALL),
    ("Qwen3-30B-A3B-4bit", MIXED),
    (SMALL, SMALL),
    ("coding", LARGE),
    ("tiny", "tiny"),
]


async def switch(client: Client, name: str) -> dict[str, Any]:
    result = await client.call_tool("set_model", {"name": name})
    assert not result.is_error, texts(result)
    assert result.structured_content is not None
    return result.structured_content


async def status(client: Client) -> dict[str, Any]:
    told = (await client.call_tool("status")).structured_content
    assert told is not None
    return told


@pytest.mark.usefixtures("hub")
async def test_set_model_takes_a_number_a_fragment_an_id_or_a_role(
    environ: dict[str, str], era: str, home: Path, choice: Path
) -> None:
    registry = home / ".config" / "ai-stack" / "registry.json"
    registry.parent.mkdir(parents=True)
    registry.write_text(json.dumps({"models": {"coding": LARGE, "default": None}}))
    async with stdio_client(environ, era) as client:
        for name, meant in NAMES:
            assert (await switch(client, name))["model"] == meant, name
            assert choice.read_text() == f"{meant}\n", name


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("role", "named"), [("Coding", SMALL), (" coding ", SMALL.upper()), ("CODING", SMALL.rpartition("/")[2])]
)
async def test_a_role_means_the_same_model_wherever_it_is_asked(
    environ: dict[str, str], home: Path, role: str, named: str
) -> None:
    registry = home / ".config" / "ai-stack" / "registry.json"
    registry.parent.mkdir(parents=True)
    registry.write_text(json.dumps({"models": {role: named, "default": LARGE}}))
    async with stdio_client(environ | {"MCP_LOCAL_LLM_MODEL": "coding"}) as client:
        await client.call_tool("chat", {"message": "Hello", "model": LARGE})
        table = (await client.call_tool("list_models")).structured_content
        assert table is not None
        assert table["chosen"] == SMALL
        assert [row["name"] for row in table["models"] if "coding" in row["roles"]] == [SMALL]
        assert numbers(await client.call_tool("chat", {"message": "Hello", "model": "coding"}))["model"] == SMALL
        assert numbers(await client.call_tool("chat", {"message": "Hello"}))["model"] == SMALL


@pytest.mark.usefixtures("hub")
async def test_an_ambiguous_name_lists_numbers_that_work(environ: dict[str, str], era: str) -> None:
    async with stdio_client(environ, era) as client:
        text = await refusal(client, "set_model", {"name": "coder"})
        assert "'coder' means 2 models." in text
        assert f"  2. {SMALL}" in text
        assert (await switch(client, "2"))["model"] == SMALL


@pytest.mark.usefixtures("hub")
async def test_the_choice_survives_a_restart(environ: dict[str, str], era: str, choice: Path) -> None:
    async with stdio_client(environ, era) as client:
        assert (await status(client))["chosen"] is None
        told = await switch(client, "32b")
        assert (told["loaded"], told["previous"]) == (True, None)
    assert choice.read_text() == f"{LARGE}\n"
    assert [file.name for file in choice.parent.iterdir()] == ["active_model"]
    async with stdio_client(environ, era) as client:
        told = await status(client)
        assert (told["state"], told["chosen"]) == ("unloaded", LARGE)
        result = await ask(client, "Hello")
        assert numbers(result)["model"] == LARGE


@pytest.mark.usefixtures("hub")
async def test_a_model_named_in_a_chat_leaves_the_choice_alone(environ: dict[str, str], choice: Path) -> None:
    async with stdio_client(environ) as client:
        await switch(client, "32b")
        assert numbers(await ask(client, "Hello", model="7b"))["model"] == SMALL
        assert (await status(client))["model"] == SMALL
        assert numbers(await ask(client, "Hello"))["model"] == LARGE
    assert choice.read_text() == f"{LARGE}\n"


@pytest.mark.usefixtures("hub")
async def test_without_a_choice_a_chat_asks_for_one_and_numbers_the_models(environ: dict[str, str], era: str) -> None:
    async with stdio_client(environ, era) as client:
        text = await refusal(client, "chat", {"message": "Hello"})
        assert text.startswith("No model is chosen yet. Call set_model")
        assert [f"{number}. {model}" in text for number, model in enumerate((LARGE, SMALL, MIXED), start=1)] == [
            True
        ] * 3
        assert "tiny" not in text


@pytest.mark.usefixtures("hub")
async def test_a_failed_load_keeps_the_choice_and_names_the_way_back(
    environ: dict[str, str], era: str, hub: Path, choice: Path
) -> None:
    broken = place_tiny(hub, "mlx-community/Broken-9B-4bit")
    tokenizer = (broken / "tokenizer.json").resolve()
    tokenizer.write_bytes(b"{" + tokenizer.read_bytes())
    async with stdio_client(environ, era) as client:
        await switch(client, "32b")
        text = await refusal(client, "set_model", {"name": "broken"})
        assert text.startswith("mlx-community/Broken-9B-4bit could not be loaded: ")
        assert f'The choice is still {LARGE}; set_model("{LARGE}") loads it.' in text
        told = await status(client)
        assert (told["state"], told["chosen"], told["model"]) == ("unloaded", LARGE, None)
        assert told["last_error"].startswith("mlx-community/Broken-9B-4bit could not be loaded")
        assert choice.read_text() == f"{LARGE}\n"
        assert numbers(await ask(client, "Hello"))["model"] == LARGE
        assert (await status(client))["last_error"] is None


@pytest.mark.usefixtures("hub")
async def test_concurrent_switches_end_with_one_model_that_is_also_the_choice(
    environ: dict[str, str], era: str, choice: Path
) -> None:
    async with stdio_client(environ, era) as client:
        with anyio.fail_after(WAIT_S):
            async with anyio.create_task_group() as tasks:
                for name in ("7b", "32b", "a3b", "7b", "32b"):
                    tasks.start_soon(switch, client, name)
        told = await status(client)
        assert told["state"] == "ready"
        assert told["model"] == told["chosen"]
        assert choice.read_text() == f"{told['model']}\n"


@pytest.mark.slow
@pytest.mark.usefixtures("hub")
async def test_a_switch_lets_the_running_answer_finish(environ: dict[str, str], era: str) -> None:
    answers: list[dict[str, Any]] = []
    generating = anyio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        if "tokens" in (message or ""):
            generating.set()

    async with stdio_client(environ, era) as client:
        await switch(client, "7b")

        async def chat() -> None:
            arguments = {"message": "Repeat the word la forever.", "thinking": False, "max_tokens": 500}
            answers.append(numbers(await client.call_tool("chat", arguments, progress_callback=hear)))

        with anyio.fail_after(WAIT_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(chat)
                await generating.wait()
                told = await switch(client, "32b")
                assert (told["model"], told["previous"]) == (LARGE, SMALL)
    assert [(answer["model"], answer["usage"]["completion_tokens"]) for answer in answers] == [(SMALL, 500)]
