"""Asking a model as the tests of this folder do."""

from mcp_local_llm.app import App
from mcp_local_llm.llm.llm import collect_result
from mcp_local_llm.values.chat import ChatRequest, ChatResult, Message, SamplingParams
from mcp_local_llm.values.progress import Progress


def question(text: str = "Hello", *, system: str = "", max_tokens: int | None = None) -> ChatRequest:
    """A request of one turn."""
    first = (Message(role="system", content=system),) if system else ()
    return ChatRequest(
        (*first, Message(role="user", content=text)), sampling=SamplingParams(max_tokens=max_tokens, temperature=0.0)
    )


async def ask(app: App, model: str | None, text: str = "Hello", seen: list[Progress] | None = None) -> ChatResult:
    """The answer to one question."""
    return await collect_result(app.llm.chat(question(text), (seen if seen is not None else []).append, model=model))
