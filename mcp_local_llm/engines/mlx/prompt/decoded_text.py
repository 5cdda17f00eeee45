"""Turns the ids of an answer into text as they are drawn, exactly as the tokenizer decodes them together.

It must not know markup. mlx-lm's own detokenizers drop a first space and turn some bytes into other characters.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

CONTEXT = 16
"""Tokens of a raw prompt that the first ones of its continuation are decoded with."""

LONGEST_CHARACTER = 8
"""Tokens that are waited for to complete a character; UTF-8 has four bytes at most."""

_INCOMPLETE = "\ufffd"


class DecodedText:
    """The text of one answer.

    A token is decoded together with the ones before it, because some decoders treat the first token of a text in
    another way, and a character may need several tokens.

    Args:
        tokenizer: transformers' tokenizer, or mlx-lm's wrapper of it.
        context: tokens that come before the answer and are a part of its text.
    """

    def __init__(self, tokenizer: Any, context: Sequence[int] = ()) -> None:
        self._decode = _decoder(tokenizer)
        self._ids = list(context[-CONTEXT:])
        self._decoded = len(self._ids)
        self._prefix = self._decode(self._ids) if self._ids else ""

    def add(self, token: int) -> str:
        """Take the next token; return the text that is complete now."""
        self._ids.append(token)
        text = self._decode(self._ids)
        waits = text.endswith(_INCOMPLETE) and len(self._ids) - self._decoded <= LONGEST_CHARACTER
        return "" if waits else self._advance(text)

    def finish(self) -> str:
        """Return what is complete of the text that waits for more tokens; an incomplete last character is dropped."""
        waits = len(self._ids) > self._decoded
        return self._advance(self._decode(self._ids).rstrip(_INCOMPLETE)) if waits else ""

    def _advance(self, text: str) -> str:
        new = text[len(self._prefix) :]
        if new:
            self._ids, waiting = self._ids[self._decoded :], len(self._ids) - self._decoded
            self._decoded, self._prefix = waiting, self._decode(self._ids)
        return new


def _decoder(tokenizer: Any) -> Callable[[list[int]], str]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        return partial(backend.decode, skip_special_tokens=False)
    return partial(tokenizer.decode, skip_special_tokens=False, clean_up_tokenization_spaces=False)
