"""Finds the model that a JSON body names while the body still arrives. Pure."""

import json
import re
from typing import Final

MAX_NAME: Final = 65536
"""Bytes of a key or of a model's name; a body with a longer one counts as one without a model."""

_SPACE = re.compile(rb"[ \t\r\n]*+")
_STRING = re.compile(rb'[ \t\r\n]*+"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_KEY = re.compile(_STRING.pattern + rb"[ \t\r\n]*+:", re.DOTALL)
# A search for one byte is ten times as fast as one for a class of bytes, so quotes are found first. Behind exactly one
# backslash a quote is part of the string; behind more of them, their number decides.
_TO_QUOTE = re.compile(rb'(?:[^"]*+(?<=[^\\]\\)")*+[^"]*+', re.DOTALL)
_SCALAR = re.compile(rb'[^"{}\[\],]*+')
_INNER = re.compile(rb'(?:[^"{}\[\]]*+"' + _TO_QUOTE.pattern + rb'(?<!\\)")*+[^"{}\[\]]*+', re.DOTALL)
"""Everything inside an object or list up to the next bracket, or to a string that has not ended for certain."""

_QUOTE, _COMMA, _OPENING = b'"'[0], b","[0], b"{["


class ModelScan:
    """Reads an object's own keys up to `model` and passes over everything else, in time linear in its length.

    Attributes:
        done: whether it is known which model the body names.
        model: its name; None where the body names none, and until `done`.
    """

    def __init__(self) -> None:
        self.done = False
        self.model: str | None = None
        self._rest = b""
        self._depth = 0
        self._step = self._open

    def feed(self, data: bytes) -> bool:
        """Read on; returns `done`."""
        text, position = self._rest + data, 0
        while not self.done and position < len(text):
            after = self._step(text, position)
            if after is None:
                break
            position = after
        self._rest = text[position:]
        if not self.done and len(self._rest) > MAX_NAME:
            self._end(None)
        return self.done

    # Each step returns the position after what it read, or None where it needs more bytes from the same position on.

    def _open(self, text: bytes, position: int) -> int | None:
        position = _after_space(text, position)
        if text[position : position + 1] == b"{":
            self._step = self._key
            return position + 1
        return self._without_model(text, position, expected=None)

    def _key(self, text: bytes, position: int) -> int | None:
        if found := _KEY.match(text, position):
            self._step = self._value if _decoded(found[1]) == "model" else self._skip
            return found.end()
        return self._without_model(text, _after_space(text, position), expected=_QUOTE)

    def _value(self, text: bytes, position: int) -> int | None:
        if found := _STRING.match(text, position):
            self._end(_decoded(found[1]))
            return found.end()
        return self._without_model(text, _after_space(text, position), expected=_QUOTE)

    def _skip(self, text: bytes, position: int) -> int:
        while True:
            found = (_INNER if self._depth else _SCALAR).match(text, position)
            position = found.end() if found else position
            if position == len(text):
                return position
            mark = text[position]
            position += 1
            if mark == _QUOTE:
                self._step = self._string
                return position
            if mark == _COMMA:
                self._step = self._key
                return position
            if mark in _OPENING:
                self._depth += 1
            elif self._depth == 0:
                self._end(None)
                return position
            else:
                self._depth -= 1

    def _string(self, text: bytes, position: int) -> int | None:
        found = _TO_QUOTE.match(text, position)
        quote = found.end() if found else position
        backslashes = quote - len(text[position:quote].rstrip(b"\\")) - position
        if quote == len(text):
            # What the last backslashes escape may be to come.
            return quote - backslashes if quote - backslashes > position else None
        if backslashes % 2 == 0:
            self._step = self._skip
        return quote + 1

    def _without_model(self, text: bytes, position: int, *, expected: int | None) -> None:
        """Wait for more bytes where they may still be what is expected; else the body names no model."""
        if position < len(text) and text[position] != expected:
            self._end(None)

    def _end(self, model: str | None) -> None:
        self.done, self.model = True, model


def _after_space(text: bytes, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _decoded(string: bytes) -> str | None:
    """Return what a JSON string without its quotes stands for; None where it is none."""
    try:
        decoded: str = json.loads(b'"%b"' % string)
    except ValueError:
        return None
    return decoded
