"""Notice an answer that says the same thing for ever. Pure: it knows token ids, not text.

Only a perfect loop counts: the end of the answer is one block of at most 64 tokens, again and again, for the whole
limit. Tables, counting, code and lists differ in at least one token a row, so they never match; what does match is an
answer that asks for a thousand equal items, which is why the limit is a setting and 0 switches the guard off.
"""

DEFAULT_LIMIT = 1024
"""Tokens of perfect repetition after which an answer is ended."""
MAX_PERIOD = 64
"""Tokens of the longest block that is looked for."""
MIN_REPEATS = 8
"""A block must fit so often into the limit."""
CHECK_EVERY = 64
"""Tokens between two looks, so that an answer pays nothing measurable for them."""


class RepetitionGuard:
    """Follows one answer; says once that it loops."""

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._limit = limit
        self._tokens: list[int] = []
        self._next_look: float = limit or float("inf")

    def add(self, token: int) -> bool:
        """Take the next token; return whether the last `limit` tokens (and at most 63 more) were one loop."""
        self._tokens.append(token)
        if len(self._tokens) < self._next_look:
            return False
        del self._tokens[: -self._limit]
        self._next_look = self._limit + CHECK_EVERY
        return self._loops()

    def _loops(self) -> bool:
        tokens = self._tokens
        for period in range(1, min(MAX_PERIOD, self._limit // MIN_REPEATS) + 1):
            # The last token alone rules most periods out.
            if tokens[-1] == tokens[-1 - period] and tokens[period:] == tokens[:-period]:
                return True
        return False
