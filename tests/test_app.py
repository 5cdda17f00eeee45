"""The composed application in this process, with the real engine and the built-in model."""

from pathlib import Path

from mcp_local_llm.app import App
from mcp_local_llm.llm.llm import collect_result
from mcp_local_llm.local_parts import find_parts
from mcp_local_llm.models.catalog import no_endpoints
from mcp_local_llm.values.chat import ChatRequest, Message
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.progress import Progress
from tests.apps import opened


async def test_a_chat_loads_the_only_model_and_answers(app: App) -> None:
    seen: list[Progress] = []
    result = await collect_result(app.llm.chat(ChatRequest((Message(role="user", content="Hello"),)), seen.append))
    assert result.text == "Hello! How can I help you today?"
    assert result.model == "tiny"
    assert result.reasoning
    assert [step.phase for step in seen][:1] == ["loading"]


async def test_the_bits_of_keys_and_values_count_in_the_plan_of_a_load_and_in_the_engine(
    environ: dict[str, str], home: Path, tiny: ModelInfo
) -> None:
    async with opened({**environ, "MCP_LOCAL_LLM_KV_BITS": "8"}, home) as composed:
        ground = find_parts(environ, home, composed.settings, no_endpoints)
        assert ground.catalog.planner(None)(tiny).kv_cache == 4096 * 576
        await collect_result(
            composed.llm.chat(ChatRequest((Message(role="user", content="Hello"),)), lambda progress: None)
        )
        # A cache grows by 256 tokens.
        assert (await composed.llm.status()).prefix_cache_bytes == 256 * 576


async def test_a_streamed_answer_without_reasoning_shows_its_text_before_the_end(app: App) -> None:
    request = ChatRequest((Message(role="user", content="Count from 1 to 150."),), thinking=False, stream=True)
    shown, result = "", None
    async for chunk in app.llm.chat(request, lambda progress: None):
        shown += chunk.text
        result = chunk.result
    assert result is not None
    assert result.text.startswith(shown.strip())
    assert len(shown) > 100
