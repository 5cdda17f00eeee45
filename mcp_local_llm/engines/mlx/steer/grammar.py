"""Constrains the next token to a grammar: llguidance's matcher over the model's tokens, and its mask on the logits.

llguidance raises nothing for a wrong grammar or schema: its matcher holds the error, which becomes a `GrammarError`
here. Runs on the MLX thread only.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mlx.core as mx
import numpy as np
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer
from llguidance.mlx import apply_token_bitmask
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from numpy.typing import NDArray

from mcp_local_llm.engines.mlx.load.weights import LoadedModel
from mcp_local_llm.engines.mlx.steer.grammar_errors import NOTHING_FITS, in_plain_words

log = logging.getLogger(__name__)

TokenMask = NDArray[np.int32]
"""A mask with one bit a token, shape (1, 32-bit words)."""


class GrammarError(Exception):
    """A grammar could not be made or followed; the message is for the caller."""


@dataclass(frozen=True)
class Vocabulary:
    """A model's tokens in llguidance's form.

    Attributes:
        tokenizer: its trie of all tokens as bytes.
        markers: a mask, as `TokenGrammar.mask` makes them, of the tokens that are markup and never text.
        ends: tokens that end a turn.
    """

    tokenizer: LLTokenizer
    markers: TokenMask
    ends: frozenset[int]


class TokenGrammar:
    """The grammar of one answer, with its present position."""

    def __init__(self, matcher: LLMatcher, vocabulary: Vocabulary) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._mask = allocate_token_bitmask(1, vocabulary.tokenizer.vocab_size)
        self._ended = False

    @property
    def complete(self) -> bool:
        """Whether what was accepted so far satisfies the grammar."""
        return self._ended or self._matcher.is_accepting()

    @property
    def full(self) -> bool:
        """Whether nothing can follow but the end of the turn."""
        return self._ended or self._matcher.is_stopped()

    def accept(self, token: int) -> None:
        """Take the token that was drawn.

        Raises:
            GrammarError: the grammar does not allow it, or grew beyond llguidance's limits.
        """
        self._ended = token in self._vocabulary.ends
        if not self._matcher.consume_token(token):
            raise GrammarError(in_plain_words(self._matcher.get_error()))

    def allows(self, token: int) -> bool:
        """Whether `token` may come next."""
        return self._matcher.validate_tokens([token]) == 1

    def mask(self, logits: mx.array, also: tuple[int, ...] = ()) -> mx.array:
        """Return `logits`, shape (1, vocabulary), with minus infinity wherever neither the grammar nor `also` allows.

        Raises:
            GrammarError: no token may follow, or the computation grew beyond llguidance's limits.
        """
        if self._ended:
            # The batch computes one step beyond the end of a turn, whose token is dropped.
            return logits
        mask = self._mask
        fill_next_token_bitmask(self._matcher, mask)
        if self._matcher.is_error():
            raise GrammarError(in_plain_words(self._matcher.get_error()))
        if np.bitwise_and(mask, self._vocabulary.markers).any():
            self._drop_markers(mask)
        _allow(mask, also)
        if not mask.any():
            raise GrammarError("no token of the vocabulary can follow")
        if mx.metal.is_available():
            return apply_token_bitmask(logits, mask)
        bits: Any = np.unpackbits(mask.view(np.uint8), count=logits.shape[-1], bitorder="little")
        return mx.where(mx.array(bits.view(np.bool_)), logits, -mx.inf)

    def _drop_markers(self, mask: TokenMask) -> None:
        """Allow no marker but the end of the turn, and that only at the end.

        Where the grammar forces text that spells a marker, such as the property `<think>`, llguidance 1.9 offers the
        marker's own token, and then refuses it. Its text has to be spelt with other tokens.
        """
        np.bitwise_and(mask, np.invert(self._vocabulary.markers), out=mask)
        if self._matcher.is_accepting():
            _allow(mask, self._vocabulary.ends)
        elif not mask.any():
            text = self._matcher.compute_ff_bytes().decode(errors="ignore")
            _allow(mask, self._vocabulary.tokenizer.greedy_tokenize(text)[:1])


class GrammarCompiler:
    """Compiles grammars for one loaded model; the vocabulary is built once, on first use."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model

    def compile(self, grammar: str) -> TokenGrammar:
        """Compile a grammar in llguidance's notation.

        Raises:
            GrammarError: the grammar, or a schema in it, cannot be followed; or the tokenizer is not supported.
        """
        vocabulary = self._vocabulary
        matcher = LLMatcher(vocabulary.tokenizer, LLMatcher.grammar_from_lark(grammar), log_level=0)
        if matcher.is_error():
            raise GrammarError(in_plain_words(matcher.get_error()))
        # Whether anything can follow is known with the first mask alone, as for a reference that leads to itself.
        fill_next_token_bitmask(matcher, allocate_token_bitmask(1, vocabulary.tokenizer.vocab_size))
        if matcher.is_error():
            raise GrammarError(NOTHING_FITS)
        return TokenGrammar(matcher, vocabulary)

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        """Every token as bytes: about a second for 150,000 of them."""
        wrapper = self._model.tokenizer
        ends = frozenset[int](wrapper.eos_token_ids)
        try:
            # mlx-lm offers no other way to the tokenizer that it wraps.
            wrapped: Any = wrapper._tokenizer
            size = max(self._model.vocab_size, len(wrapper))
            slices = LLTokenizer.json_slices()
            tokenizer = from_tokenizer(wrapped, n_vocab=size, eos_token=sorted(ends), slices=slices)
            added: list[int] = list(wrapped.added_tokens_decoder)
        except Exception as error:
            # The conversion is native code over whatever a model brought along; it may raise anything.
            log.warning("no constrained output with the tokenizer of %s", self._model.info.id, exc_info=error)
            raise GrammarError(f"the tokenizer of {self._model.info.id} cannot be used for it") from error
        markers = np.zeros_like(allocate_token_bitmask(1, size))
        _allow(markers, [*ends, *(token for token in added if tokenizer.is_special_token(token))])
        return Vocabulary(tokenizer, markers, ends)


def _allow(mask: TokenMask, tokens: Iterable[int]) -> None:
    """Set the bits of `tokens`."""
    for token in tokens:
        mask.view(np.uint32)[0, token >> 5] |= np.uint32(1 << (token & 31))
