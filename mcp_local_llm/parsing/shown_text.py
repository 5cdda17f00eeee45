"""The text of one channel that a stream has shown. Blanks at its end are held back, as the result may lack them."""

import re
from typing import Literal

BLANK_LINES = re.compile(r"(?:[^\S\n]*\n)+")
"""What stands between a block and the first line of an answer, whose indentation is not part of it."""

Lead = Literal["all", "lines", "none"]
"""How much white space before a block of text belongs to it: all of it, that of its first line, or none."""


class ShownText:
    """The text of one channel, which may have several blocks."""

    def __init__(self) -> None:
        self._blanks: list[str] = []
        self._anything = False
        self._block_begun = False
        self._lead: Lead = "none"

    def begin_block(self, lead: Lead) -> None:
        """Begin another block of this channel."""
        self._blanks, self._block_begun, self._lead = [], False, lead

    def add(self, text: str) -> str:
        """Return what can be shown of the text and of the blanks before it."""
        body = text.rstrip()
        if not body:
            self._blanks.append(text)
            return ""
        shown = "".join(self._blanks) + body
        if not self._block_begun:
            # A further block begins on a new line.
            shown = "\n" * self._anything + self._led(shown)
        self._blanks, self._anything, self._block_begun = [text[len(body) :]], True, True
        return shown

    def _led(self, text: str) -> str:
        blank = BLANK_LINES.match(text) if self._lead == "lines" else None
        return text.lstrip() if self._lead == "none" else text[blank.end() :] if blank else text
