"""Decides of a marker in an answer that is still arriving whether it is text whatever follows.

The answer has begun for certain, and something visible stands in it. `reasoning.py` decides of the whole text by the
same rules (R2, R3, R6, R8, R14).
"""

import re
from collections import Counter
from typing import Literal

from mcp_local_llm.parsing.literal_zones import LiteralZones
from mcp_local_llm.parsing.markup import FRAME_OPENERS, TagPair
from mcp_local_llm.parsing.markup_scanner import Markup, MarkupMeaning
from mcp_local_llm.parsing.reasoning import in_sentence

Decision = Literal["text", "boundary", "more", "wait"]
"""`text`: show it. `boundary`: a stray closer, which is dropped. `more`: a few characters behind it decide. `wait`: the
whole answer decides."""

_LINE_BEHIND = re.compile(r"[^\S\n]*[\S\n]")


class AnswerMarkers:
    """The text of one answer since its last block, as far as its markers depend on it."""

    def __init__(self, markup: Markup, *, tools_offered: bool, answer_begun: bool) -> None:
        self._markup = markup
        self._tools_offered = tools_offered
        self._answer_begun = answer_begun
        self._zones = LiteralZones(line_is_blank=False)
        self._quoted: Counter[TagPair] = Counter()
        self._tail = ""

    def take(self, text: str) -> None:
        """Take text that is shown."""
        self._zones.feed(text)
        self._tail = (self._tail + text)[-80:]

    def decide(self, literal: str, following: str) -> Decision:
        """Decide of a marker; `following` begins with it and goes on as far as the answer has arrived."""
        rest = following[len(literal) :]
        if self._zones.undecided:
            return "more" if "\n" not in rest else "wait"
        meaning = self._markup.meanings.get(literal)
        if literal == "</s>" or (self._zones.quoted and meaning and meaning.kind == "end"):
            return self._at_very_end(rest)
        if self._zones.quoted:
            # A call that begins in inline code may go on behind it.
            return "wait" if meaning and meaning.kind == "call" and self._tools_offered else "text"
        return self._by_kind(meaning, literal, rest) if meaning else "text"

    def _by_kind(self, meaning: MarkupMeaning, literal: str, rest: str) -> Decision:
        pair = meaning.pair
        match meaning.kind:
            case "open" if pair is not None:
                if pair in self._markup.foreign or self._answer_begun or not self._zones.line_is_blank:
                    self._quoted[pair] += 1
                    return "text"
                return "wait"
            case "close" if pair is not None:
                return self._closer(pair, rest)
            case "response":
                return "text"  # no call was made before it
            case "harmony":
                return "wait" if self._answer_begun and self._markup.harmony else "text"
            case "frame" if literal in FRAME_OPENERS and meaning.name is None:
                return "text"
            case "call" if not self._tools_offered and self._answer_begun and self._markup.exact:
                return "text"
            case _:
                return "wait"

    def _closer(self, pair: TagPair, rest: str) -> Decision:
        if self._quoted[pair]:
            self._quoted[pair] -= 1
            return "text"
        if pair in self._markup.foreign or self._answer_begun:
            return "text"
        if self._markup.exact and not _LINE_BEHIND.match(rest):
            return "more"
        return "text" if self._markup.exact and in_sentence(self._tail, rest) else "boundary"

    def _at_very_end(self, rest: str) -> Decision:
        """Decide of `</s>`, which is an end token where nothing but end tokens follows (R3)."""
        visible = rest.lstrip()
        if (
            not visible
            or visible in self._markup.watched_beginnings
            or visible.startswith(("</s>", *self._markup.ends))
        ):
            return "more"
        return "text"
