"""The composed application in this process, with the real engine and the built-in model."""

from mcp_local_llm.app import App
from mcp_local_llm.chat import ChatRequest, Message
from mcp_local_llm.engine import Progress


async def test_a_chat_loads_the_only_model_and_answers(app: App) -> None:
    seen: list[Progress] = []
    result = await app.llm.chat(ChatRequest((Message(role="user", content="Hello"),)), seen.append)
    assert result.text == "Hello! How can I help you today?"
    assert result.model == "tiny"
    assert result.reasoning
    assert [step.phase for step in seen][:1] == ["loading"]


async def test_a_streamed_answer_without_reasoning_shows_its_text_before_the_end(app: App) -> None:
    request = ChatRequest((Message(role="user", content="Count from 1 to 150."),), thinking=False, stream=True)
    shown, result = "", None
    async for chunk in app.llm.stream(request, lambda progress: None):
        shown += chunk.text
        result = chunk.result
    assert result is not None
    assert result.text.startswith(shown.strip())
    assert len(shown) > 100
