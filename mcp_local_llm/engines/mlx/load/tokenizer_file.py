"""Refuses a `tokenizer.json` that would take all memory of the process, before a library reads it. Pure but for a file.

A tokenizer is a program that came with the model, run by native code that cannot be ended from outside: forty rules
that double a letter make a terabyte of it, and a token with the id four billion makes a list of that length.
"""

import base64
import json
import struct
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any, cast

from mcp_local_llm.engines.mlx.prompt.tokenizer_bounds import tokenizer_parts

MAX_GROWTH = 256
"""How many times as long a normalizer, pre-tokenizer, post-processor or decoder may make a text. Usual ones put one
character for another; SentencePiece's table has a sign of 33 bytes, and rules for blanks may follow it."""

MAX_ADDED = 1000
"""The most characters of an added token; the longest are runs of 31 blanks or newlines."""

SPARE_IDS = 2**16
"""Ids above twice the rows of the embedding that a tokenizer may name; some have a few more than their weights."""

_WRITES_BYTES = "ByteLevel"
"""Writes each byte of a character beyond ASCII as a character of two bytes."""


class TokenizerFileError(Exception):
    """The file is none, or beyond the bounds; the message is a sentence without the model's name."""


def check_tokenizer_file(folder: Path, rows: int) -> None:
    """Check the `tokenizer.json` of a folder, where there is one.

    Args:
        folder: of the model.
        rows: of the embedding.

    Raises:
        TokenizerFileError: names what is wrong.
        OSError, ValueError, RecursionError: it cannot be read as JSON.
    """
    path = folder / "tokenizer.json"
    if path.exists():
        status = path.stat()
        _check_once(path, (status.st_ino, status.st_size, status.st_mtime_ns), rows)


@lru_cache(maxsize=8)
def _check_once(path: Path, version: tuple[int, int, int], rows: int) -> None:
    """Check one version of a file; the last sound ones are known, because a large one takes a fifth of a second."""
    described: object = json.loads(path.read_bytes())
    if not isinstance(described, dict):
        raise TokenizerFileError("tokenizer.json holds no JSON object")
    check_tokenizer(cast(dict[str, Any], described), rows)


def check_tokenizer(described: dict[str, Any], rows: int) -> None:
    """Check the content of a `tokenizer.json`. Raises as `check_tokenizer_file`."""
    model, added = described.get("model"), described.get("added_tokens")
    if not isinstance(model, dict) or not isinstance(added, list | None):
        raise TokenizerFileError("tokenizer.json has no model, or no list of added tokens")
    tokens = [cast(dict[str, Any], token) for token in cast(list[object], added or []) if isinstance(token, dict)]
    _check_ids(cast(dict[str, Any], model), tokens, rows)
    if any(len(str(token.get("content", ""))) > MAX_ADDED for token in tokens):
        raise TokenizerFileError(f"an added token of tokenizer.json has more than {MAX_ADDED:,} characters")
    for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        if _growth(described.get(part)) > MAX_GROWTH:
            raise TokenizerFileError(f"the {part} of tokenizer.json makes a text more than {MAX_GROWTH} times as long")


def _check_ids(model: dict[str, Any], added: list[dict[str, Any]], rows: int) -> None:
    vocabulary: object = model.get("vocab")
    words = cast(dict[str, object] | list[object], vocabulary if isinstance(vocabulary, dict | list) else [])
    ids = [*(words.values() if isinstance(words, dict) else ()), *(token.get("id") for token in added)]
    most = 2 * rows + SPARE_IDS
    largest = max((id for id in ids if isinstance(id, int)), default=0)
    if max(largest, len(words) + len(added)) >= most:
        raise TokenizerFileError(
            f"tokenizer.json has {len(words) + len(added):,} tokens with ids up to {largest:,}, and the weights know "
            f"{rows:,}: it belongs to another model"
        )
    for name in ("continuing_subword_prefix", "end_of_word_suffix", "unk_token"):
        if len(str(model.get(name) or "")) > MAX_ADDED:
            raise TokenizerFileError(f"{name} of tokenizer.json has more than {MAX_ADDED:,} characters")


def _growth(part: object) -> int:
    """Return how many times as long a part, and all parts inside it, can make a text."""
    return prod(_own_growth(inner) for inner in tokenizer_parts(part))


def _own_growth(part: dict[str, Any]) -> int:
    match part.get("type"):
        case "Replace":
            pattern = part.get("pattern")
            found: object = cast(dict[str, Any], pattern).get("String") if isinstance(pattern, dict) else None
            # A regular expression may find one character, or the empty place between two.
            length, made = len(found) if isinstance(found, str) else 0, len(str(part.get("content", "")))
            return max(1, -(-made // length)) if length else 1 + made
        case "Prepend":
            return max(1, len(str(part.get("prepend", ""))))
        case "Precompiled":
            return _longest_of_charsmap(str(part.get("precompiled_charsmap") or ""))
        case "TemplateProcessing":
            single: object = part.get("single")
            pieces = cast(list[object], single) if isinstance(single, list) else []
            return max(1, sum(isinstance(piece, dict) and "Sequence" in piece for piece in pieces))
        case kind:
            return 2 if kind == _WRITES_BYTES else 1


def _longest_of_charsmap(text: str) -> int:
    """Return the most bytes that SentencePiece's table puts for a character; a trie's size, the trie, texts."""
    try:
        table = base64.b64decode(text, validate=True)
        (size,) = struct.unpack_from("<I", table)
    except (ValueError, struct.error) as error:
        raise TokenizerFileError("the normalizer of tokenizer.json has a broken table") from error
    return max(1, *map(len, table[4 + size :].split(b"\0")))
