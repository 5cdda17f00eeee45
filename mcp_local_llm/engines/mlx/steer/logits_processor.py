"""The logits processor that applies an `AnswerScript` to the logits of one answer.

mlx-lm builds the next forward pass before the last token is known, so that the device never waits. This processor keeps
that: where its script needs the token, it starts the forward pass first, and computes the mask while the device works.
With a thinking budget alone it reads no token until the budget may be spent.

Runs on the MLX thread only.
"""

import logging
from collections.abc import Iterable
from typing import cast

import mlx.core as mx

from mcp_local_llm.engines.mlx.steer.grammar import GrammarError, TokenGrammar
from mcp_local_llm.engines.mlx.steer.next_token import AnswerScript, DecodingPlan

log = logging.getLogger(__name__)


class AnswerProcessor:
    """Constrains the tokens of one answer; a logits processor in mlx-lm's sense.

    Attributes:
        failure: the reason why the answer cannot go on; the batch then ends this answer alone.
    """

    def __init__(self, plan: DecodingPlan, schema: TokenGrammar | None, ends: Iterable[int]) -> None:
        self._script = AnswerScript(plan)
        self._schema = schema
        self._ends = mx.array([sorted(ends)])
        self._prompt_tokens: int | None = None
        self._seen = 0
        self._due: float = 0
        self.failure: str | None = None

    @property
    def json_from(self) -> int | None:
        """How many tokens of the answer come before its JSON; None until that begins."""
        return self._script.json_from

    @property
    def schema_met(self) -> bool | None:
        """Whether the answer so far validates; None where no schema was asked for."""
        return None if self._schema is None else self.json_from is not None and self._schema.complete

    def __call__(self, context: mx.array, logits: mx.array) -> mx.array:
        """Take prompt and answer so far, shape (tokens,), and logits, shape (1, vocabulary); return new logits."""
        if self.failure is not None:
            return logits
        try:
            return self._steer(context, logits)
        except BaseException as error:
            # An exception that left here would end every request of the batch; llguidance is native code over a
            # stranger's schema, and anything it raises (a panic is no Exception) ends this answer alone.
            self.failure = _told(error)
            return logits

    def drawn(self, place: int, token: int) -> None:
        """Take the token at `place` (0 is the answer's first) when the answer gets it.

        The script mostly has it already; the last token of an answer arrives only here.
        """
        if place < self._seen or self.failure is not None:
            return
        try:
            self._script.add(token)
        except BaseException as error:
            # As in `__call__`: a step of the script compiles and follows grammars.
            self.failure = _told(error)
        self._seen = place + 1

    def _steer(self, context: mx.array, logits: mx.array) -> mx.array:
        if self._prompt_tokens is None:
            # The first call comes before the first token is drawn.
            self._prompt_tokens = context.shape[0]
        drawn = context.shape[0] - self._prompt_tokens
        if drawn < self._due:
            return logits
        if drawn > self._seen:
            # Two calls: one would make the token wait for the forward pass.
            fresh = context[self._prompt_tokens + self._seen :]
            mx.async_eval(fresh)
            mx.async_eval(logits)
            for token in cast(list[int], fresh.tolist()):
                self._script.add(token)
            self._seen = drawn
        patience = self._script.patience
        self._due = float("inf") if patience is None else drawn + patience
        forced, constraint = self._script.forced, self._script.constraint
        if forced is not None:
            return mx.where(mx.arange(logits.shape[-1]) == forced, logits, -mx.inf)
        if isinstance(constraint, TokenGrammar):
            return constraint.mask(logits, self._script.openers)
        if self._script.openers_only:
            return self._only(logits, self._script.openers)
        if self._script.must_go_on:
            return mx.put_along_axis(logits, self._ends, mx.array(-mx.inf, logits.dtype), axis=-1)
        return logits

    def _only(self, logits: mx.array, tokens: tuple[int, ...]) -> mx.array:
        """Return `logits` with minus infinity but at `tokens`, and at the ends of a turn where one may come."""
        kept = mx.array([tokens], mx.int32)
        if not self._script.must_go_on:
            kept = mx.concatenate([kept, self._ends], axis=-1)
        nothing = mx.full(logits.shape, -mx.inf, logits.dtype)
        return mx.put_along_axis(nothing, kept, mx.take_along_axis(logits, kept, axis=-1), axis=-1)


def _told(error: BaseException) -> str:
    """Return the reason for the caller; a library's own words are logged instead."""
    if isinstance(error, GrammarError):
        return str(error)
    log.error("constrained decoding failed", exc_info=error)
    return "the library that constrains it failed"
