"""From a request to the token ids of its prompt, checked before they reach MLX.

Runs on the MLX thread only.
"""

from dataclasses import dataclass
from typing import Any, cast

from mcp_local_llm.chat import ChatRequest, Message
from mcp_local_llm.engines.mlx.weights import LoadedModel
from mcp_local_llm.errors import ContextLengthError, InvalidRequestError

PRESERVE = "preserve_thinking"
"""Switch of the templates that would strip the reasoning of earlier answers (Qwen3.6): stripped history is another
prompt, and what was computed for it fits only up to the first answer."""

DEFAULT_MAX_TOKENS = 8192
"""Tokens of an answer when the request names none, where the context window has room for them."""


@dataclass(frozen=True)
class Prompt:
    """A rendered prompt.

    Attributes:
        tokens: ids, all in [0, vocabulary).
        think_prefilled: the template opened the reasoning block.
        answer_only: the template closed it, or the model has none; no reasoning is to be expected.
        max_tokens: the answer's limit.
        text: what the tokens were made of.
    """

    tokens: list[int]
    think_prefilled: bool
    answer_only: bool
    max_tokens: int
    text: str


def render(request: ChatRequest, model: LoadedModel) -> Prompt:
    """Apply the chat template and check the result against the vocabulary and the context window.

    Raises:
        InvalidRequestError: no template, a conversation the template refuses, an id outside the vocabulary.
        ContextLengthError: prompt and answer do not fit into the context window.
    """
    raw = request.prompt
    text = template_text(request, model) if raw is None else raw
    # A template writes the first token of a sequence itself; a raw text leaves it to the tokenizer.
    tokens = cast(list[int], model.tokenizer.encode(text, add_special_tokens=raw is not None))
    if not tokens or min(tokens) < 0 or max(tokens) >= model.vocab_size:
        raise InvalidRequestError(
            f"The prompt holds token ids outside the vocabulary of {model.info.id} (0 to {model.vocab_size - 1}). "
            "Its tokenizer files do not belong to its weights; download the model again."
        )
    opener = cast(str | None, model.tokenizer.think_start)
    # Only the end of the prompt tells: a user may well write the opener somewhere in a message.
    end, closer = text.rstrip(), cast(str | None, model.tokenizer.think_end)
    prefilled = raw is None and opener is not None and end.endswith(opener.rstrip())
    answer_only = opener is None or (closer is not None and end.endswith(closer.rstrip()))
    limit = _answer_limit(len(tokens), request.sampling.max_tokens, model)
    return Prompt(tokens, prefilled, answer_only, limit, text)


def template_text(request: ChatRequest, model: LoadedModel, *, opening: bool = True) -> str:
    """Render the conversation as text; `thinking` sets the template's own switch.

    Args:
        request: the conversation.
        model: whose template it is.
        opening: end with what opens the answer.

    Raises:
        InvalidRequestError: there is no template, or it refuses the conversation.
    """
    if not model.tokenizer.has_chat_template:
        raise InvalidRequestError(f"{model.info.id} has no chat template, so it cannot chat. Choose an instruct model.")
    switch = {} if request.thinking is None else {"enable_thinking": request.thinking}
    if PRESERVE in str(model.tokenizer.chat_template):
        switch[PRESERVE] = True
    try:
        rendered = model.tokenizer.apply_chat_template(
            [_template_message(message) for message in request.messages],
            tools=[tool.openai() for tool in request.tools] or None,
            add_generation_prompt=opening,
            tokenize=False,
            **switch,
        )
    except Exception as error:
        # A template is a program that came with the model: it may raise anything jinja2 or Python can.
        raise InvalidRequestError(
            f"The chat template of {model.info.id} refused the conversation: {error}. "
            "Many templates want user and assistant turns to alternate, or know no system or tool turns."
        ) from error
    return cast(str, rendered)


def _template_message(message: Message) -> dict[str, Any]:
    """Write a message as templates expect it: arguments as an object, absent fields absent."""
    out: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        out["tool_calls"] = [
            {"type": "function", "id": call.id, "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        out["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        out["name"] = message.name
    return out


def _answer_limit(prompt_tokens: int, asked: int | None, model: LoadedModel) -> int:
    """Check prompt + answer against the window; without a request, take what is left up to the default."""
    window = model.context_length
    if window is None:
        return asked or DEFAULT_MAX_TOKENS
    room = window - prompt_tokens
    if room < 1 or (asked is not None and asked > room):
        wanted = f" + max_tokens {asked}" if asked is not None else ""
        advice = f"Lower max_tokens to {room} or shorten the prompt." if room >= 1 else "Shorten the prompt."
        raise ContextLengthError(
            f"The prompt has {prompt_tokens} tokens{wanted}, but {model.info.id} has a context window of "
            f"{window} tokens. {advice}"
        )
    return asked if asked is not None else min(DEFAULT_MAX_TOKENS, room)
