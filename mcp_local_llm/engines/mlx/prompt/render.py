"""Turns a request into the token ids of its prompt, within bounds of time and size.

Runs on worker threads: it must not touch an mlx array. Its exceptions fail one request.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from mcp_local_llm.engines.mlx.prompt.conversation import RenderedConversation, render_conversation
from mcp_local_llm.engines.mlx.prompt.reasoning_tags import reasons
from mcp_local_llm.engines.mlx.prompt.text_model import TextModel
from mcp_local_llm.engines.mlx.prompt.tokenizer_bounds import CUT
from mcp_local_llm.parsing.markup import TagPair
from mcp_local_llm.parsing.opening import AnswerOpening, answer_opening
from mcp_local_llm.values.chat import ChatRequest
from mcp_local_llm.values.errors import ContextLengthError, InvalidRequestError

DEFAULT_MAX_TOKENS = 8192
"""Tokens of an answer when the request names none, where the context window has room for them."""

PIECE = 16_384
"""Characters that are tokenized between two checks for cancellation, where a text can be cut."""


@dataclass(frozen=True)
class Prompt:
    """A rendered prompt.

    Attributes:
        tokens: ids, all in [0, vocabulary).
        think_prefilled: the template opened the reasoning block.
        answer_only: the template closed it, or the model has none; no reasoning is to be expected.
        max_tokens: the answer's limit.
        text: the text of the tokens, with the marks of `ControlTokens`.
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
    rendered = render_conversation(request, model, cancelled) if raw is None else RenderedConversation(raw)
    text = model.control.plain(rendered.text)
    _refuse_by_size(text, model)
    # A template writes the first token of a sequence itself; a raw text leaves it to the tokenizer.
    if raw is None:
        tokens = encode_rendered(rendered.text, model, cancelled)
    else:
        tokens = _encode(raw, model, cancelled, add_special_tokens=True)
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
    prefilled = opening.pair is not None
    return Prompt(tokens, prefilled, answer_only, limit, rendered.text, rendered.warnings, opening.pair)


def count(item: ChatRequest | str, model: TextModel, cancelled: Callable[[], bool] = lambda: False) -> int:
    """Return the number of prompt tokens of a request, or of the tokens of a text, however long.

    Raises:
        InvalidRequestError: no template, or a conversation the template refuses.
    """
    model = replace(model, context_length=None)
    if isinstance(item, str):
        return len(_encode(item, model, cancelled, add_special_tokens=False))
    if item.prompt is not None:
        return len(_encode(item.prompt, model, cancelled, add_special_tokens=True))
    return len(encode_rendered(render_conversation(item, model, cancelled).text, model, cancelled))


def encode_rendered(text: str, model: TextModel, cancelled: Callable[[], bool] = lambda: False) -> list[int]:
    """Return the ids of a rendered conversation: its marks keep control tokens that a message wrote out of them.

    Raises:
        ContextLengthError: it passes the window, as is noticed where the text can be cut.
    """
    first, *others = model.control.pieces(text)
    tokens = _encode(first, model, cancelled, add_special_tokens=False)
    lead = model.encode("\n") if others else []
    for piece in others:
        if cancelled():
            raise InvalidRequestError("The request was cancelled.")
        # A tokenizer that writes a blank before a text writes it before this newline, whose ids are dropped.
        led = _encode(f"\n{piece}", model, cancelled, add_special_tokens=False) if len(lead) > 1 else []
        same = bool(led) and led[: len(lead)] == lead
        tokens += led[len(lead) :] if same else _encode(piece, model, cancelled, add_special_tokens=False)
    return tokens


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
        f"{model.context_length} tokens. Shorten the prompt.",
        least,
        model.context_length,
    )


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
            f"{window} tokens. {advice}",
            prompt_tokens,
            window,
        )
    return asked if asked is not None else min(DEFAULT_MAX_TOKENS, room)
