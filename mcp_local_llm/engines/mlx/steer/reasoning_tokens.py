"""Counts the tokens of a reasoning block while they are drawn. Pure: it follows token ids.

Only a closer that is plain text, as in vocabularies without a token for it, is looked for in the decoded text.
"""

from typing import Protocol


class TokenText(Protocol):
    """Decodes an answer token by token; `DecodedText` implements it."""

    def add(self, token: int) -> str:
        """Take the next token; return the text that is complete now."""
        ...


class CloserText:
    """Finds a closer in the text of an answer."""

    def __init__(self, closer: str, text: TokenText) -> None:
        self._closer = closer
        self._text = text
        self._tail = ""

    def completed(self, token: int) -> bool:
        """Take the next token; return whether it completes the closer."""
        self._tail += self._text.add(token)
        found = self._closer in self._tail
        self._tail = self._tail[-len(self._closer) :]
        return found


class ReasoningTokens:
    """Follows one answer through its first reasoning block; `is_open` while the model is inside it.

    The parser decides what is reasoning and what is answer, from the whole text. This count serves the usage
    figures, keeps stop strings out of the block and tells when its budget is spent, so it may stay as simple as the
    usual case.
    """

    def __init__(
        self, opener: tuple[int, ...], closer: tuple[int, ...], *, prefilled: bool, text: CloserText | None = None
    ) -> None:
        self._text = text
        self.is_open = prefilled
        self.count = 0
        self._opener, self._closer = opener, closer
        self._tail: tuple[int, ...] = ()
        self._seen = 0
        self._over = not closer

    @property
    def over(self) -> bool:
        """Whether no block is open any more, nor can one open."""
        return self._over

    @property
    def closer_begun(self) -> int:
        """Tokens of the closing marker that the answer ends with; they count as reasoning until it is complete."""
        if not self.is_open:
            return 0
        sizes = range(min(len(self._tail), len(self._closer) - 1), 0, -1)
        return next((size for size in sizes if self._tail[-size:] == self._closer[:size]), 0)

    def add(self, token: int) -> None:
        """Take the next token of the answer."""
        if self._over:
            return
        self._seen += 1
        marker = self._closer if self.is_open else self._opener
        self._tail = (*self._tail, token)[-len(marker) :]
        if self.is_open:
            self.count += 1
            if self._text.completed(token) if self._text else self._tail == marker:
                self.count = max(self.count - len(marker), 0)
                self.is_open, self._over = False, True
        elif self._tail == marker:
            self.is_open, self._tail = True, ()
        elif self._seen > len(marker) + 1:
            # A block stands at the very start of an answer, after a newline at most.
            self._over = True
