"""Finds what a model's files say of its markup: the tags of its reasoning, and which literals it uses at all. Pure."""

from collections.abc import Callable
from typing import Any

from mcp_local_llm.parsing.markup import END_OF_TURN, MUSE, TAG_PAIRS, TagPair
from mcp_local_llm.parsing.markup_scanner import Markup, markup_of_model

_WITHIN_A_TURN = ("<|end|>", "<|return|>", "<|call|>", "<|eom|>", "<|eom_id|>", "<|calls|>", "<|message_sep|>")
"""Tokens of `END_OF_TURN` behind which the formats of some models go on."""

_ROLES = ("user", "assistant", "system", "tool", "model")


def reasoning_tags(tokenizer: Any) -> TagPair | None:
    """Find the tags of reasoning blocks: as mlx-lm reads them from the vocabulary, else a known pair.

    A known pair counts where both its tags stand in the chat template or are tokens of their own. One that the template
    names goes before one that only the vocabulary holds.

    Args:
        tokenizer: mlx-lm's `TokenizerWrapper`.
    """
    template, added = str(tokenizer.chat_template or ""), str(list(getattr(tokenizer, "added_tokens_encoder", ())))
    named = None
    if tokenizer.think_start and tokenizer.think_end:
        tags = (tokenizer.think_start, tokenizer.think_end)
        named = next((pair for pair in TAG_PAIRS if (pair.opener, pair.closer) == tags), TagPair(*tags))
        if named.opener in template or named.closer in template:
            return named
    for where in (template, *(() if named else (added,))):
        for pair in TAG_PAIRS:
            if pair.opener in where and pair.closer in where:
                return pair
    return named or (MUSE if getattr(tokenizer, "tool_call_start", None) == "<atem:function_calls>" else None)


def reasons(tokenizer: Any, tags: TagPair | None) -> bool:
    """Say whether a model may reason in these tags: a vocabulary can hold them although the template knows none."""
    if tags is None:
        return False
    template = str(tokenizer.chat_template or "")
    own_renderer = getattr(tokenizer, "_chat_template", None) is not None or not template
    return own_renderer or tags.opener in template or tags.closer in template


def model_markup(tokenizer: Any, tags: TagPair | None) -> Markup:
    """Return the markup of a model: its own tags, and what its vocabulary, its template or mlx-lm names.

    No text ends a turn of it: a token of its own does that.
    """
    return markup_of_model([tags] if tags else [], _used(tokenizer))


def _used(tokenizer: Any) -> Callable[[str], bool]:
    template, token_id = str(tokenizer.chat_template or ""), _token_ids(tokenizer)
    return lambda literal: token_id(literal) is not None or literal in template


def turn_ends(tokenizer: Any) -> frozenset[int]:
    """Return the tokens that end a turn, or begin another one, wherever a model writes them."""
    token_id, added = _token_ids(tokenizer), getattr(tokenizer, "added_tokens_decoder", {})
    special = {*tokenizer.all_special_ids, *(token for token, text in added.items() if text.special)}
    literals = {end.removesuffix(role) for end in END_OF_TURN for role in ("", *_ROLES) if end not in _WITHIN_A_TURN}
    return frozenset(id for literal in literals if (id := token_id(literal)) in special and id is not None)


def _token_ids(tokenizer: Any) -> Callable[[str], int | None]:
    """Return what knows the id of a token's text; a fast tokenizer would copy all of its vocabulary otherwise."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return tokenizer.get_vocab().get if backend is None else backend.token_to_id
