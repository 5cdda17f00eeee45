"""Bounds of a tokenizer: the longest text of a token, and whether a text may be tokenized in pieces.

Both are derived from the description of a fast tokenizer; other tokenizers have none.
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
    described = _description(tokenizer)
    if described is None or not _keeps_text(described):
        return None
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    return max(map(len, vocabulary), default=0) or None


def cut_between_words(tokenizer: Any) -> bool:
    """Whether a text may be cut before the space between two words, and its pieces tokenized one by one.

    That holds where every pre-token ends there whatever surrounds it: a byte-level BPE whose regular expression has
    no memory, which is asked about such places here, and of which probes are tokenized both ways.
    """
    described = _description(tokenizer)
    if described is None or not _keeps_text(described):
        return False
    names = {part["type"] for part in _parts(described.get("pre_tokenizer"))}
    prefixed = any(part.get("add_prefix_space") for part in _parts(described.get("pre_tokenizer")))
    normalized = {part["type"] for part in _parts(described.get("normalizer"))} - {"NFC", "Sequence"}
    spaced = any(" " in str(added["content"]) for added in described.get("added_tokens", ()))
    remembering = "(?<" in json.dumps(described.get("pre_tokenizer"))
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


def _description(tokenizer: Any) -> dict[str, Any] | None:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return None if backend is None else cast(dict[str, Any], json.loads(backend.to_str()))


def _keeps_text(described: dict[str, Any]) -> bool:
    """Whether every character of a text ends up in a token no shorter than it."""
    model = described["model"]
    if model["type"] != "BPE" or described.get("truncation") or not _knows_all_bytes(described):
        return False
    if any(added.get("lstrip") or added.get("rstrip") for added in described.get("added_tokens", ())):
        return False
    if any(
        part["type"] not in _KEEPING or part.get("behavior") == "Removed"
        for part in _parts(described.get("pre_tokenizer"))
    ):
        return False
    return all(
        part["type"] in _NORMALIZERS and (part["type"] != "Replace" or _keeps_length(part))
        for part in _parts(described.get("normalizer"))
    )


def _knows_all_bytes(described: dict[str, Any]) -> bool:
    """Whether unknown text is written byte by byte; else it may become one token, or none."""
    vocabulary = described["model"]["vocab"]
    if "ByteLevel" in {part["type"] for part in _parts(described.get("pre_tokenizer"))}:
        from tokenizers.pre_tokenizers import ByteLevel

        return all(byte in vocabulary for byte in ByteLevel.alphabet())
    return bool(described["model"].get("byte_fallback")) and all(f"<0x{at:02X}>" in vocabulary for at in range(256))


def _keeps_length(replace: dict[str, Any]) -> bool:
    found = replace.get("pattern", {}).get("String")
    return isinstance(found, str) and len(replace.get("content", "")) >= len(found)


def _parts(described: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Go through a normalizer or pre-tokenizer and, where it is a sequence, its parts."""
    if described is None:
        return
    yield described
    for inner in described.get("pretokenizers", described.get("normalizers", ())):
        yield from _parts(inner)
