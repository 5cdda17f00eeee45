"""Turns a request into the token ids of its prompt, within bounds of time and size.

Runs on worker threads: it must not touch an mlx array. Its exceptions fail one request.
"""

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from mcp_local_llm.engines.mlx.prompt.bounded_template import ChatTemplate, compiled
from mcp_local_llm.engines.mlx.prompt.reasoning_tags import reasons
from mcp_local_llm.engines.mlx.prompt.rendering_budget import RenderingBudget
from mcp_local_llm.engines.mlx.prompt.tokenizer_bounds import CUT
from mcp_local_llm.parsing.markup import TagPair
from mcp_local_llm.parsing.opening import AnswerOpening, answer_opening
from mcp_local_llm.values.chat import ChatRequest, Message
from mcp_local_llm.values.errors import ContextLengthError, InvalidRequestError

PRESERVE = "preserve_thinking"
"""Switch of the templates that would strip the reasoning of earlier answers (Qwen3.6): stripped history is another
prompt, and its KV cache is reused only up to the first answer."""

DEFAULT_MAX_TOKENS = 8192
"""Tokens of an answer when the request names none, where the context window has room for them."""

LARGEST_TEXT = 256 * 2**20
"""Characters of a prompt for a model that names no context window."""

PIECE = 16_384
"""Characters that are tokenized between two checks for cancellation, where a text can be cut."""


@dataclass(frozen=True)
class TextModel:
    """A model's tokenizer and chat template, without the network: they turn a conversation into token ids.

    Attributes:
        name: the model's id, for messages.
        tokenizer: mlx-lm's `TokenizerWrapper`.
        tags: the tags of its reasoning blocks; None where its files name no known pair.
        vocab_size: rows of the embedding; an id at or above it is a segmentation fault in MLX.
        context_length: longest sequence in tokens, None where its files name none.
        longest_token: characters that one token can stand for at most; None where there is no certain bound.
        pieces: whether a text may be cut at `CUT` and tokenized in pieces, with the same ids.
    """

    name: str
    tokenizer: Any
    vocab_size: int
    context_length: int | None
    tags: TagPair | None = None
    longest_token: int | None = None
    pieces: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def largest_text(self) -> int:
        """Characters that the longest prompt can have."""
        if self.context_length is None or self.longest_token is None:
            return LARGEST_TEXT
        return min(4 * self.context_length * self.longest_token, LARGEST_TEXT)

    def template(self, tools: list[dict[str, Any]] | None) -> ChatTemplate | None:
        """Return the compiled template; None where a Python function of mlx-lm's or of the tokenizer's renders."""
        if self.tokenizer._chat_template is not None or _renders_itself(self.tokenizer._tokenizer):
            return None
        return compiled(cast(str, self.tokenizer.get_chat_template(None, tools)))

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        """Return the ids of `text`; a fast tokenizer releases the interpreter's lock while it works."""
        if getattr(self.tokenizer, "is_fast", False):
            return cast(list[int], self.tokenizer.encode(text, add_special_tokens=add_special_tokens))
        with self._lock:
            return cast(list[int], self.tokenizer.encode(text, add_special_tokens=add_special_tokens))


@dataclass(frozen=True)
class Prompt:
    """A rendered prompt.

    Attributes:
        tokens: ids, all in [0, vocabulary).
        think_prefilled: the template opened the reasoning block.
        answer_only: the template closed it, or the model has none; no reasoning is to be expected.
        max_tokens: the answer's limit.
        text: the text of the tokens.
        warnings: one sentence each, for the caller.
        pair: the tags of the block that the template opened.
    """

    tokens: list[int]
    think_prefilled: bool
    answer_only: bool
    max_tokens: int
    text: str
    warnings: tuple[str, ...] = ()
    pair: TagPair | None = None


def render(request: ChatRequest, model: TextModel, cancelled: Callable[[], bool] = lambda: False) -> Prompt:
    """Apply the chat template and check the result against the vocabulary and the context window.

    Args:
        request: the request.
        model: the tokenizer and template.
        cancelled: checked in between; a cancelled prompt is abandoned.

    Raises:
        InvalidRequestError: no template, a conversation the template refuses, an id outside the vocabulary.
        ContextLengthError: prompt and answer do not fit into the context window.
    """
    raw = request.prompt
    text = template_text(request, model, cancelled) if raw is None else raw
    _refuse_by_size(text, model)
    # A template writes the first token of a sequence itself; a raw text leaves it to the tokenizer.
    tokens = _encode(text, model, cancelled, add_special_tokens=raw is not None)
    if not tokens or min(tokens) < 0 or max(tokens) >= model.vocab_size:
        raise InvalidRequestError(
            f"The prompt holds token ids outside the vocabulary of {model.name} (0 to {model.vocab_size - 1}). "
            "Its tokenizer files do not belong to its weights; download the model again."
        )
    opening = AnswerOpening(closed=True)
    if raw is None:
        named = (model.tags,) if model.tags else ()
        opening = answer_opening(text, named, request.messages[-1].content if request.messages else "")
    answer_only = opening.closed or (opening.pair is None and not reasons(model.tokenizer, model.tags))
    limit = _answer_limit(len(tokens), request, model)
    return Prompt(tokens, opening.pair is not None, answer_only, limit, text, pair=opening.pair)


def template_text(
    request: ChatRequest, model: TextModel, cancelled: Callable[[], bool] = lambda: False, *, opening: bool = True
) -> str:
    """Render the conversation as text; `thinking` sets the template's own switch.

    Args:
        request: the conversation.
        model: the tokenizer and template.
        cancelled: checked while the template runs.
        opening: end with the opening of the answer.

    Raises:
        InvalidRequestError: there is no template, or it refuses the conversation.
    """
    if not model.tokenizer.has_chat_template:
        raise InvalidRequestError(f"{model.name} has no chat template, so it cannot chat. Choose an instruct model.")
    switch = {} if request.thinking is None else {"enable_thinking": request.thinking}
    if PRESERVE in str(model.tokenizer.chat_template):
        switch[PRESERVE] = True
    messages = [_template_message(message) for message in request.messages]
    tools = [tool.openai() for tool in request.tools] or None
    try:
        return apply_template(model, messages, tools, {"add_generation_prompt": opening, **switch}, cancelled)
    except Exception as error:
        # A template is a program that came with the model: it may raise anything jinja2 or Python can.
        raise InvalidRequestError(
            f"The chat template of {model.name} refused the conversation: {error}. "
            "Many templates want user and assistant turns to alternate, or know no system or tool turns."
        ) from error


def apply_template(
    model: TextModel,
    messages: list[dict[str, Any]],
    tools: list[dict[str, Any]] | None,
    switches: Mapping[str, bool],
    cancelled: Callable[[], bool] = lambda: False,
) -> str:
    """Render `messages` as mlx-lm and transformers do, within bounds.

    Raises:
        Exception: whatever the template raises, and `RenderingLimit`.
    """
    template = model.template(tools)
    if template is None:
        return cast(str, model.tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, **switches))
    variables = {
        **model.tokenizer.special_tokens_map,
        "messages": [_with_reasoning_names(message) for message in messages],
        "tools": tools,
        "documents": None,
        "enable_thinking": model.tokenizer.has_thinking,
        **switches,
    }
    characters = _characters([messages, tools])
    # The budget holds the whole conversation whatever the window: excess is reported in tokens, after rendering.
    budget = RenderingBudget(characters, max(model.largest_text, 4 * characters), cancelled)
    return template.render(variables, budget)


def _with_reasoning_names(message: dict[str, Any]) -> dict[str, Any]:
    """Give a turn's reasoning the second name by which templates read it, as transformers does."""
    if "reasoning_content" not in message:
        return message
    return {"thinking": message["reasoning_content"], **message}


def _characters(value: object) -> int:
    """Count the text in messages and tools; every other value counts as one character."""
    total, left = 0, [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            total += len(item)
        elif isinstance(item, dict):
            left += [*cast(dict[str, object], item).keys(), *cast(dict[str, object], item).values()]
        elif isinstance(item, list):
            left += cast(list[object], item)
        total += 1
    return total


def _renders_itself(tokenizer: Any) -> bool:
    """Whether a tokenizer class brings a renderer of its own, in Python."""
    from transformers import PreTrainedTokenizerBase

    own = getattr(type(tokenizer), "apply_chat_template", None)
    return own is not PreTrainedTokenizerBase.apply_chat_template


def _refuse_by_size(text: str, model: TextModel) -> None:
    """Refuse a text of which it is certain, without tokenizing it, that it has more tokens than the window."""
    if model.longest_token is None or model.context_length is None:
        return
    # Normalization makes one character of four at most, and leaves ASCII alone.
    characters = len(text) if text.isascii() else len(text) // 4
    least = math.ceil(characters / model.longest_token)
    if least > model.context_length:
        raise _too_long(least, model)


def _encode(text: str, model: TextModel, cancelled: Callable[[], bool], *, add_special_tokens: bool) -> list[int]:
    """Tokenize in pieces where that gives the same ids; stop when the window is passed or the request is cancelled."""
    if len(text) <= 2 * PIECE or not model.pieces or (add_special_tokens and model.encode("", add_special_tokens=True)):
        return model.encode(text, add_special_tokens=add_special_tokens)
    tokens: list[int] = []
    for piece in _cut(text):
        if cancelled():
            raise InvalidRequestError("The request was cancelled.")
        tokens += model.encode(piece)
        if model.context_length is not None and len(tokens) > model.context_length:
            raise _too_long(len(tokens), model)
    return tokens


def _cut(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        found = CUT.search(text, start + PIECE)
        end = found.start() if found else len(text)
        yield text[start:end]
        start = end


def _too_long(least: int, model: TextModel) -> ContextLengthError:
    return ContextLengthError(
        f"The prompt has at least {least} tokens, but {model.name} has a context window of "
        f"{model.context_length} tokens. Shorten the prompt."
    )


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


def _answer_limit(prompt_tokens: int, request: ChatRequest, model: TextModel) -> int:
    """Check prompt + answer against the window; without a request, take what is left up to the default."""
    asked, window = request.sampling.max_tokens, model.context_length
    if window is None:
        return asked or DEFAULT_MAX_TOKENS
    room = window - prompt_tokens
    if asked is not None and request.lower_max_tokens and room >= 1:
        return min(asked, room)
    if room < 1 or (asked is not None and asked > room):
        wanted = f" + max_tokens {asked}" if asked is not None else ""
        advice = f"Lower max_tokens to {room} or shorten the prompt." if room >= 1 else "Shorten the prompt."
        raise ContextLengthError(
            f"The prompt has {prompt_tokens} tokens{wanted}, but {model.name} has a context window of "
            f"{window} tokens. {advice}"
        )
    return asked if asked is not None else min(DEFAULT_MAX_TOKENS, room)
