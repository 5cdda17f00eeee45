"""Keeps the control tokens of a model out of what a conversation says: there they are text.

A tokenizer turns the text of a control token into that token wherever it stands, so a message could end its own turn
and open another one. Each such text gets a mark inside it before the template is rendered; the rendered prompt is
tokenized in pieces that end at the marks, and the marks are dropped. It must not know a template.
"""

import re
import secrets
from collections.abc import Container, Iterable, Mapping
from typing import Any, TypeVar, cast

Value = TypeVar("Value")

_LEAST = 2
"""Least characters of a part of a control token at the edge of a text, to which the template may add the rest."""


class ControlTokens:
    """The texts of a model's control tokens.

    Args:
        cuts: text of a control token → where a mark is put into it.
    """

    def __init__(self, cuts: Mapping[str, int] | None = None) -> None:
        # Nobody can write it, and neither JSON nor a change of case changes it.
        self._mark = f"~{secrets.randbelow(10**18):018}~"
        self._cuts = dict(cuts or {})
        self._pattern = _pattern(self._cuts)
        self._beginnings = {text[:size] for text in self._cuts for size in range(_LEAST, len(text))}
        self._endings = {text[-size:] for text in self._cuts for size in range(_LEAST, len(text))}
        self._last_two = {text[-2:] for text in self._beginnings}
        self._first_two = {text[:2] for text in self._endings}
        self._longest = max(map(len, self._cuts), default=0)

    def marked(self, value: Value) -> Value:
        """Return texts, lists and objects of JSON with a mark in each control token, in names of fields as well."""
        return cast(Value, self._marked(value)) if self._cuts else value

    def pieces(self, text: str) -> list[str]:
        """Cut a rendered prompt at its marks."""
        return text.split(self._mark)

    def plain(self, text: str) -> str:
        """Return a rendered prompt without its marks."""
        return text.replace(self._mark, "")

    def _marked(self, value: object) -> object:
        if isinstance(value, str):
            return self._marked_text(value)
        if isinstance(value, dict):
            entries = cast(dict[str, object], value).items()
            return {self._marked_text(name): self._marked(entry) for name, entry in entries}
        if isinstance(value, list):
            return [self._marked(entry) for entry in cast(list[object], value)]
        return value

    def _marked_text(self, text: str) -> str:
        places, start = self._edges(text), 0
        while found := self._pattern.search(text, start):
            places.add(found.start() + self._cuts[found.group()])
            start = found.start() + 1
        if not places:
            return text
        ends = sorted(places)
        return self._mark.join(text[one:other] for one, other in zip([0, *ends], [*ends, len(text)], strict=True))

    def _edges(self, text: str) -> set[int]:
        """Find parts of control tokens at both edges, which a template could complete: `<{{ name }}>` does."""
        places: set[int] = set()
        end, begin = text.rstrip(), text.lstrip()
        sizes = range(_LEAST, min(len(end) + 1, self._longest))
        if end[-2:] in self._last_two and any(end[-size:] in self._beginnings for size in sizes):
            places.add(len(end) - 1)
        if begin[:2] in self._first_two and any(begin[:size] in self._endings for size in sizes):
            places.add(len(text) - len(begin) + 1)
        return places


def control_tokens(tokenizer: Any, kept: Container[str] = ()) -> ControlTokens:
    """Find the tokens that the tokenizer marks special, and those that end a turn.

    Args:
        tokenizer: mlx-lm's `TokenizerWrapper`.
        kept: texts that are no control tokens: the tags of reasoning and tool calls.
    """
    added: Mapping[int, Any] = getattr(tokenizer, "added_tokens_decoder", {})
    texts = [str(token.content) for id, token in added.items() if token.special or id in tokenizer.eos_token_ids]
    return ControlTokens({text: _cut(tokenizer, text) for text in texts if len(text.strip()) > 1 and text not in kept})


def _cut(tokenizer: Any, text: str) -> int:
    """Return a place inside `text`: where its first pre-token ends, so that the ids are those of ordinary text."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    splitter = getattr(backend, "pre_tokenizer", None)
    ends = [end for _, (_, end) in splitter.pre_tokenize_str(text)] if splitter is not None else []
    return next((end for end in ends if 0 < end < len(text)), 1)


def _pattern(texts: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern of all texts, the shortest of several that begin alike first.

    Texts with the same two first characters are grouped: a `<` in a page of HTML is then dismissed at once.
    """
    groups: dict[str, list[str]] = {}
    for text in sorted(texts, key=len):
        groups.setdefault(text[:2], []).append(re.escape(text[2:]))
    return re.compile("|".join(f"{re.escape(head)}(?:{'|'.join(tails)})" for head, tails in groups.items()) or "(?!)")
