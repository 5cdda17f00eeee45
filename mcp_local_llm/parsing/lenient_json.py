"""Read one JSON value as models write it (R16, R18), in a single pass.

Repaired: trailing commas, Python literals, raw control characters in strings, invalid escapes, unquoted keys,
comments, doubled braces, and up to two missing braces where the element's closer stands in their place. Never:
a string, number, list or object that the end of the text cut off, or a guess at unescaped inner quotes.
It must not know markup; a tool-call format passes the closer of its element and its own quotation mark.
"""

import re
from dataclasses import dataclass
from typing import Any

from mcp_local_llm.parsing.parsed import PayloadError

_MAX_DEPTH = 100
_MAX_MISSING_BRACES = 2
_MAX_DIGITS = 4000

_BLANK = re.compile(r"(?:\s++|//[^\n]*+|/\*(?s:.*?)\*/)*+")
_DOUBLE = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_SINGLE = re.compile(r"'([^'\\]*+(?:\\.[^'\\]*+)*+)'", re.DOTALL)
_TRIPLE = re.compile(r'"""([^"\\]*+(?:(?:\\.|"(?!""))[^"\\]*+)*+)"""', re.DOTALL)
# Without leading zeros: JSON and Python know none, and what they stand for, as in a postcode, would be a guess.
_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*+)(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?")
_WORD = re.compile(r"[A-Za-z_$][\w$.\-]*+")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")

_LITERALS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_SIMPLE_ESCAPES = {'"': '"', "'": "'", "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True)
class JsonVariant:
    """How the values of one tool-call format differ from JSON.

    Attributes:
        closer: the text that ends the element; it may stand for two missing braces.
        quote: the format's own quotation mark, such as Gemma's.
        python: tuples and triple quotes are values as well.
    """

    closer: str = ""
    quote: str = ""
    python: bool = False


STANDARD_JSON = JsonVariant()


def read_value(text: str, position: int, variant: JsonVariant = STANDARD_JSON) -> tuple[Any, int]:
    """Return the value that starts at `position` (after blanks) and where it ends.

    Raises:
        PayloadError: there is no complete value.
    """
    return _Reader(text, variant).value(position, 0)


def skip_blank(text: str, position: int) -> int:
    """Return the first position that is neither whitespace nor a comment.

    Raises:
        PayloadError: a comment is never closed.
    """
    end = _end(_BLANK.match(text, position))
    if text.startswith("/*", end):
        raise PayloadError(len(text), cut=True)
    return end


def _end(match: re.Match[str] | None) -> int:
    assert match is not None  # the pattern also matches nothing
    return match.end()


class _Reader:
    """Reads one value; counts the missing braces that it accepted."""

    def __init__(self, text: str, variant: JsonVariant) -> None:
        self._text = text
        self._variant = variant
        self._missing = 0

    def value(self, position: int, depth: int) -> tuple[Any, int]:
        """Read any value. `depth` counts the containers around it."""
        text, position = self._text, skip_blank(self._text, position)
        if depth > _MAX_DEPTH:
            raise PayloadError(position, cut=False)
        char = text[position : position + 1]
        if char == "{":
            return self._object(position, depth)
        if char == "[" or (char == "(" and self._variant.python):
            return self._list(position, depth)
        if self._quoted(position):
            return self._string(position)
        return self._scalar(position)

    def _object(self, position: int, depth: int) -> tuple[Any, int]:
        inner = skip_blank(self._text, position + 1)
        if self._text.startswith("{", inner):
            # A template's `{{ … }}` taken literally (R18); the second closing brace is often missing.
            value, end = self.value(inner, depth + 1)
            after = skip_blank(self._text, end)
            return value, after + 1 if self._text.startswith("}", after) else end
        found: dict[str, Any] = {}
        position = inner
        while True:
            position = skip_blank(self._text, position)
            if self._text.startswith("}", position):
                return found, position + 1
            key, position = self._key(position)
            position = self._expect(":", position)
            found[key], position = self.value(position, depth + 1)
            position = skip_blank(self._text, position)
            if self._text.startswith(",", position):
                position += 1
            elif not self._text.startswith("}", position):
                return found, self._forgive_brace(position)

    def _forgive_brace(self, position: int) -> int:
        """Let the closer of the element stand for a missing brace (R18)."""
        closer = self._variant.closer
        if not closer or not self._text.startswith(closer, position) or self._missing >= _MAX_MISSING_BRACES:
            raise self._error(position)
        self._missing += 1
        return position

    def _list(self, position: int, depth: int) -> tuple[Any, int]:
        closing = "]" if self._text[position] == "[" else ")"
        items: list[Any] = []
        position += 1
        while True:
            position = skip_blank(self._text, position)
            if self._text.startswith(closing, position):
                return items, position + 1
            item, position = self.value(position, depth + 1)
            items.append(item)
            position = skip_blank(self._text, position)
            if self._text.startswith(",", position):
                position += 1
            elif not self._text.startswith(closing, position):
                raise self._error(position)

    def _key(self, position: int) -> tuple[str, int]:
        if self._quoted(position):
            return self._string(position)
        word = _WORD.match(self._text, position)
        if word is None or word.end() == len(self._text):
            raise self._error(position if word is None else word.end())
        return word[0], word.end()

    def _expect(self, mark: str, position: int) -> int:
        position = skip_blank(self._text, position)
        if not self._text.startswith(mark, position):
            raise self._error(position)
        return position + len(mark)

    def _quoted(self, position: int) -> bool:
        if self._text.startswith(('"', "'"), position):
            return True
        return bool(self._variant.quote) and self._text.startswith(self._variant.quote, position)

    def _string(self, position: int) -> tuple[str, int]:
        text, quote = self._text, self._variant.quote
        if quote and text.startswith(quote, position):
            start = position + len(quote)
            end = text.find(quote, start)
            if end < 0:
                raise PayloadError(len(text), cut=True)
            return text[start:end].replace("\r\n", "\n"), end + len(quote)
        if self._variant.python and text.startswith('"""', position):
            pattern, python = _TRIPLE, True
        else:
            python = text.startswith("'", position)
            pattern = _SINGLE if python else _DOUBLE
        match = pattern.match(text, position)
        if match is None:
            raise PayloadError(len(text), cut=True)
        return _unescape(match[1].replace("\r\n", "\n"), python=python or self._variant.python), match.end()

    def _scalar(self, position: int) -> tuple[Any, int]:
        text = self._text
        word = _WORD.match(text, position)
        if word is not None and word[0] in _LITERALS and word.end() < len(text):
            return _LITERALS[word[0]], word.end()
        number = _NUMBER.match(text, position)
        if number is None or len(number[0]) > _MAX_DIGITS:
            raise self._error(word.end() if word is not None and word.end() == len(text) else position)
        end = number.end()
        # A number at the end of the text may go on (R18); one that runs into a word is none.
        if end == len(text) or text[end].isalnum() or text[end] in "_.":
            raise self._error(end)
        if number[0].lstrip("+-").isdigit():
            return int(number[0]), end
        value = float(number[0])
        if abs(value) == float("inf"):
            raise self._error(position)
        return value, end

    def _error(self, position: int) -> PayloadError:
        return PayloadError(position, cut=position >= len(self._text))


def _unescape(body: str, *, python: bool) -> str:
    """Decode escapes; an invalid one stays as it was written (R18)."""
    if "\\" not in body:
        return body

    def decode(match: re.Match[str]) -> str:
        code = match[1]
        if code in _SIMPLE_ESCAPES:
            return _SIMPLE_ESCAPES[code]
        if len(code) > 1 and (python or code[0] == "u"):
            point = int(code[1:], 16)
            return chr(point) if point < 0x110000 else "\ufffd"
        return "" if python and code == "\n" else match[0]

    decoded = _ESCAPE.sub(decode, body)
    if _SURROGATE.search(decoded):
        # `\ud83d\ude00` is one character; half of a pair cannot be encoded as UTF-8.
        decoded = decoded.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return decoded
