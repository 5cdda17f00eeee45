"""Bounds of a tokenizer: the longest text of a token, and whether a text may be tokenized in pieces.

Both are derived from the parts of a fast tokenizer; other tokenizers have none.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, cast

CUT = re.compile("(?<=[A-Za-z]) (?=[A-Za-z])")
"""Places where a text is cut: between two words, before the space."""

_KEEPING = frozenset({"ByteLevel", "Digits", "Metaspace", "Punctuation", "Sequence", "Split"})
"""Pre-tokenizers that drop no text (`Split`, unless it removes what it finds)."""
_NORMALIZERS = frozenset({"NFC", "Prepend", "Replace", "Sequence"})
"""Normalizers whose loss is known: NFC makes one character of four at most (of ASCII it changes nothing)."""

_PROBES = (
    "alpha beta Gamma",
    "one two\n\nthree four  five six",
    "it's a test, we've 12 of them (really) so what",
    '{"key": "some value"} and more\n    def f(x): return x\nthe end',
    "caf\u00e9 au lait \u4f60\u597d world of words \U0001f600 yes no",
)


def longest_token(tokenizer: Any) -> int | None:
    """Return how many characters one token can stand for at most; None where that is not certain.

    It is not where the tokenizer drops text (normalizers that strip, tokens that swallow the blanks beside them) or
    where one token stands for any stretch of unknown text.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not _keeps_text(backend):
        return None
    return max(map(len, backend.get_vocab()), default=0) or None


def cut_between_words(tokenizer: Any) -> bool:
    """Whether a text may be cut before the space between two words, and its pieces tokenized one by one.

    That holds where every pre-token ends there whatever surrounds it: a byte-level BPE whose regular expression has
    no memory, which is asked about such places here, and of which probes are tokenized both ways.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not _keeps_text(backend):
        return False
    splitters, normalizers = _parts(backend.pre_tokenizer), _parts(backend.normalizer)
    names = {part["type"] for part in splitters}
    prefixed = any(part.get("add_prefix_space") for part in splitters)
    normalized = {part["type"] for part in normalizers} - {"NFC", "Sequence"}
    spaced = any(" " in token.content for token in backend.get_added_tokens_decoder().values())
    remembering = "(?<" in json.dumps(splitters)
    if "ByteLevel" not in names or "Metaspace" in names or prefixed or normalized or spaced or remembering:
        return False
    return all(_probe(tokenizer, text) for text in _PROBES)


def _probe(tokenizer: Any, text: str) -> bool:
    """Compare one text with its pieces, cut at every place."""
    places = [found.start() for found in CUT.finditer(text)]
    ends = {end for _, (_, end) in tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)}
    if not ends.issuperset(places):
        return False
    pieces = [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]
    whole = tokenizer.encode(text, add_special_tokens=False)
    return whole == [token for piece in pieces for token in tokenizer.encode(piece, add_special_tokens=False)]


def _keeps_text(backend: Any) -> bool:
    """Whether every character of a text ends up in a token no shorter than it."""
    if type(backend.model).__name__ != "BPE" or backend.truncation or not _knows_all_bytes(backend):
        return False
    if any(token.lstrip or token.rstrip for token in backend.get_added_tokens_decoder().values()):
        return False
    if any(part["type"] not in _KEEPING or part.get("behavior") == "Removed" for part in _parts(backend.pre_tokenizer)):
        return False
    return all(
        part["type"] in _NORMALIZERS and (part["type"] != "Replace" or _keeps_length(part))
        for part in _parts(backend.normalizer)
    )


def _knows_all_bytes(backend: Any) -> bool:
    """Whether unknown text is written byte by byte; else it may become one token, or none."""
    if "ByteLevel" in {part["type"] for part in _parts(backend.pre_tokenizer)}:
        from tokenizers.pre_tokenizers import ByteLevel

        names = ByteLevel.alphabet()
    elif backend.model.byte_fallback:
        names = [f"<0x{at:02X}>" for at in range(256)]
    else:
        return False
    return all(backend.model.token_to_id(name) is not None for name in names)


def _keeps_length(replace: dict[str, Any]) -> bool:
    found = replace.get("pattern", {}).get("String")
    return isinstance(found, str) and len(replace.get("content", "")) >= len(found)


def _parts(component: Any) -> list[dict[str, Any]]:
    """Describe a normalizer or pre-tokenizer and, where it is a sequence, its parts.

    By what it is pickled to, its part of `tokenizer.json`: with the vocabulary that is twelve megabytes of a usual
    model.
    """
    return [] if component is None else list(tokenizer_parts(json.loads(component.__getstate__())))


def tokenizer_parts(part: object) -> Iterator[dict[str, Any]]:
    """Go through a part of a `tokenizer.json` and, where it is a sequence, its parts; what is no object is left out."""
    left = [part]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            inner = cast(dict[str, Any], one)
            yield inner
            for name in ("normalizers", "pretokenizers", "processors", "decoders"):
                more: object = inner.get(name)
                left += cast(list[object], more) if isinstance(more, list) else []
