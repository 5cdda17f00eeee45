"""Writes a request's conversation as its chat template wants it, and renders it.

Runs on worker threads: it must not touch an mlx array.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

from jinja2.exceptions import SecurityError

from mcp_local_llm.engines.mlx.prompt.rendering_budget import RenderingLimit
from mcp_local_llm.engines.mlx.prompt.strict_templates import repaired, with_placed_system_turns
from mcp_local_llm.engines.mlx.prompt.text_model import Switches, TextModel, apply_template
from mcp_local_llm.engines.mlx.prompt.thoughts import Thoughts
from mcp_local_llm.engines.mlx.prompt.written_tools import Turn, with_written_tools
from mcp_local_llm.values.chat import ChatRequest, Message
from mcp_local_llm.values.errors import MAX_REASON, InvalidRequestError


@dataclass(frozen=True)
class RenderedConversation:
    """The text of a conversation.

    Attributes:
        text: with the marks of `ControlTokens`.
        warnings: what was written in another way than the client sent it, one sentence each.
    """

    text: str
    warnings: tuple[str, ...] = ()


def render_conversation(
    request: ChatRequest, model: TextModel, cancelled: Callable[[], bool] = lambda: False, *, opening: bool = True
) -> RenderedConversation:
    """Render the conversation as text; `thinking` sets the template's own switch.

    Args:
        request: the conversation.
        model: the tokenizer and template.
        cancelled: checked while the template runs.
        opening: end with the opening of the answer.

    Raises:
        InvalidRequestError: there is no template, or it refuses the conversation or its tools.
    """
    if not model.tokenizer.has_chat_template:
        raise InvalidRequestError(f"{model.name} has no chat template, so it cannot chat. Choose an instruct model.")
    traits = model.traits
    if request.tools and not traits.tools and model.refuse_tools:
        raise InvalidRequestError(
            f"The chat template of {model.name} knows no tools, and the setting tools_without_template refuses them. "
            'Choose a model that calls tools, leave the tools out, or set it to "system".'
        )
    tools = [tool.openai() for tool in request.tools]
    turns, written = with_written_tools([_turn(message) for message in request.messages], tools, traits)
    turns, replaced = with_placed_system_turns(turns, traits.system)
    thoughts = Thoughts(traits)
    turns = thoughts.placed(model.control.marked(turns))
    offered = model.control.marked(tools) if traits.tools else []
    switches: dict[str, Any] = {"add_generation_prompt": opening, **_thinking(request, model), **traits.history}
    text, repairs = _accepted(model, turns, offered or None, switches, cancelled)
    text = thoughts.written(text)
    warnings = [f"The chat template of {model.name} {words}." for words in (*written, *replaced)]
    warnings += [
        f"The chat template of {model.name} refused the conversation as it was sent: {words}." for words in repairs
    ]
    return RenderedConversation(text, tuple(warnings))


def _accepted(
    model: TextModel,
    turns: list[Turn],
    tools: list[dict[str, Any]] | None,
    switches: Switches,
    cancelled: Callable[[], bool],
) -> tuple[str, tuple[str, ...]]:
    """Render the turns, repaired where the template refuses them; return what was done, in words."""
    refusal: Exception | None = None
    for tried, done in chain([(turns, ())], repaired(turns)):
        try:
            return _rendered(model, tried, tools, switches, cancelled), done
        except Exception as error:
            # A template is a program that came with the model: it may raise anything jinja2 or Python can.
            refusal = refusal or error
            if isinstance(error, RenderingLimit):
                break
    advice = "Many templates want user and assistant turns to alternate, or know no system or tool turns."
    if isinstance(refusal, RenderingLimit | SecurityError | RecursionError):
        advice = "The template came with the model: mend it, or choose another model."
    words = str(refusal)[:MAX_REASON].rstrip(".")
    raise InvalidRequestError(
        f"The chat template of {model.name} refused the conversation: {words}. {advice}"
    ) from refusal


def _rendered(
    model: TextModel,
    turns: list[Turn],
    tools: list[dict[str, Any]] | None,
    switches: Switches,
    cancelled: Callable[[], bool],
) -> str:
    """Render with the tools before the first user turn where the template would move them to each last one."""
    first = next((at for at, turn in enumerate(turns) if turn["role"] == "user"), len(turns))
    if tools and model.traits.tools_move and first + 1 < len(turns):
        head, closed = turns[: first + 1], {**switches, "add_generation_prompt": False}
        without = apply_template(model, head, None, closed, cancelled)
        whole = apply_template(model, turns, None, switches, cancelled)
        if whole.startswith(without):
            return apply_template(model, head, tools, closed, cancelled) + whole[len(without) :]
    return apply_template(model, turns, tools, switches, cancelled)


def _thinking(request: ChatRequest, model: TextModel) -> Switches:
    switch = model.traits.switch
    if request.thinking is None or switch is None:
        return {}
    return switch.on if request.thinking else switch.off


def _turn(message: Message) -> Turn:
    """Write a message as templates expect it: arguments as an object, absent fields absent."""
    out: Turn = {"role": message.role, "content": message.content}
    if message.tool_calls:
        out["tool_calls"] = [
            {"type": "function", "id": call.id, "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.reasoning:
        out["reasoning_content"] = message.reasoning
    if message.tool_call_id is not None:
        out["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        out["name"] = message.name
    return out
