"""Splits an answer into reasoning and content: by its tags (R3 to R11, R14, R25), or by an announcement in plain text.

`split_reasoning` gets markup from `scan_markup` and assigns every stretch of the text to a channel, as positions only.
`split_announced` handles models that write "Thinking Process:" or "Here is my thought process:" instead of tags.
"""

import re
from collections import Counter
from dataclasses import dataclass, field, replace

from mcp_local_llm.parsing.markup import TagPair, before_tokens
from mcp_local_llm.parsing.markup_scanner import KNOWN_MARKUP, MAX_FALLBACKS, Markup, MarkupToken, scan_markup
from mcp_local_llm.parsing.offered_tools import OfferedTools
from mcp_local_llm.parsing.parsed import Segment, Span

MAX_TAKEN_BACK = 400
"""Characters of answer that a stray closer after a closed block may still turn into reasoning.

R8 takes back everything since the last boundary. Where a block was opened and closed before, a longer passage
is an answer: P2 forbids losing it, and a stream may have shown it.
"""

_MAX_INDENT = 80

_VISIBLE = re.compile(r"\S")

_ANNOUNCED = re.compile(r"\s*(?:\*\*|#+ )?Thinking Process:")

_ANSWER = re.compile(r"^(?:\*\*|#+ )?(?:Final )?Answer:(?:\*\*)?[ \t]*", re.MULTILINE)

_GRANITE = re.compile(r"\s*Here(?:'s| is) my thought process:")

_GRANITE_ANSWER = re.compile(r"Here(?:'s| is) my response:")

_PARAGRAPH = re.compile(r"\n[ \t]*\n(?=\S)")

_OUTLINE_ITEM = re.compile(r"(?:[*+-]|(\d{1,3})[.)])[ \t]")

_NUMBERED = re.compile(r"^(\d{1,3})[.)][ \t]", re.MULTILINE)


@dataclass(frozen=True)
class SplitAnswer:
    """The segments in order, and a sentence for each call that could not be read or result that was dropped."""

    segments: tuple[Segment, ...]
    problems: tuple[str, ...]


def split_reasoning(
    text: str, *, think_prefilled: bool, tools: OfferedTools, markup: Markup = KNOWN_MARKUP
) -> SplitAnswer:
    """Split normalized text. `think_prefilled`: it begins inside a block (R4)."""
    splitter = _Splitter(text, tools, markup)
    splitter.run(think_prefilled=think_prefilled)
    return SplitAnswer(tuple(splitter.segments), tuple(splitter.problems))


def split_announced(text: str) -> tuple[str, str] | None:
    """Split an answer without tags into reasoning and answer; None where it has no announcement, or no end."""
    granite = _GRANITE.match(text)
    if granite is not None:
        answer = _GRANITE_ANSWER.search(text, granite.end())
        return (text[granite.end() : answer.start()], text[answer.end() :]) if answer else None
    if not _ANNOUNCED.match(text):
        return None
    answer = _ANSWER.search(text)
    if answer is not None:
        return text[: answer.start()], text[answer.end() :]
    boundary = _plain_paragraph(text)
    return (text[:boundary], text[boundary:]) if boundary else None


@dataclass
class _Block:
    """Where a reasoning block ends: at `closer` (start and end of the tag), or with the turn."""

    end: int
    closer: tuple[int, int] | None
    spans: list[Span] = field(default_factory=list[Span])
    problems: list[str] = field(default_factory=list[str])


class _Splitter:
    """One pass over one text; every method moves `position` forward."""

    def __init__(self, text: str, tools: OfferedTools, markup: Markup) -> None:
        self._text = text
        self._tools = tools
        self._markup = markup
        self._position = 0
        self._visible = False
        self._answered = False
        self._called = False
        self._fallbacks = 0
        # From here on the text holds nothing but closers and ends of a turn.
        self._last = before_tokens(text, markup.meaningless_at_end)
        self._hopeless: set[TagPair] = set()
        self._quoted: Counter[TagPair] = Counter()
        self.segments: list[Segment] = []
        self.problems: list[str] = []

    def run(self, *, think_prefilled: bool) -> None:
        """Fill `segments` and `problems`."""
        if think_prefilled:
            self._prefilled()
        while self._position < len(self._text):
            self._content()

    def _prefilled(self) -> None:
        """Read the block that the chat template opened (R4); a repeated opener is swallowed (R5)."""
        first = _VISIBLE.search(self._text)
        start = first.start() if first else 0
        opener = next((pair for pair in self._markup.pairs if self._text.startswith(pair.opener, start)), None)
        start = start + len(opener.opener) if opener else 0
        # Where the template's own pair is not known, the likeliest one goes before its rarer relatives.
        likeliest, *others = self._markup.pairs
        for pairs in ((opener,),) if opener else filter(None, ((likeliest,), others)):
            block = self._find_closer(start, frozenset(pairs))
            if block.closer:
                break
        else:
            block = self._find_closer(start, frozenset((likeliest,)))
        self._reasoning(start, block)

    def _reasoning(self, start: int, block: _Block) -> None:
        closed = block.closer is not None
        self.segments.append(Segment("reasoning", start, block.end, tuple(block.spans), closed=closed))
        self._position = block.closer[1] if block.closer else len(self._text)
        if not closed:
            self.problems += block.problems

    def _content(self) -> None:
        """Read content up to the next block, or to the end of the turn."""
        start = cursor = self._position
        spans: list[Span] = []
        for token in scan_markup(self._text, start, self._tools, markup=self._markup):
            self._visible = self._visible or _VISIBLE.search(self._text, cursor, token.start) is not None
            cursor = token.end
            if token.kind == "call":
                cursor = self._call(token, spans)
                if cursor == len(self._text):
                    break
            elif token.kind == "open" and (block := self._opens(token)):
                self._append_text(start, token.start, spans)
                self._reasoning(token.end, block)
                return
            elif token.kind == "close" and self._closes(token, start, spans):
                return
            elif token.kind == "end" or (token.kind == "response" and self._called):
                if token.kind == "response":
                    self.problems.append("A tool result that the model invented was dropped with what follows it.")
                self._append_text(start, token.start, spans)
                self._position = len(self._text)
                return
        self._append_text(start, len(self._text), spans)
        self._position = len(self._text)

    def _append_text(self, start: int, end: int, spans: list[Span]) -> None:
        self.segments.append(Segment("text", start, end, tuple(spans)))
        self._answered = self._answered or self._visible

    def _call(self, token: MarkupToken, spans: list[Span]) -> int:
        """Store a call; return where visible text goes on, which is the end of the text where a payload was cut off."""
        reading = token.reading
        assert reading is not None  # every token of this kind has one
        if reading.problem:
            self.problems.append(reading.problem)
        if reading.calls:
            self._called = self._tools.offered  # without tools nothing is a call (R13)
            spans.append(Span(token.start, reading.end, reading.calls))
            return reading.end
        # The rest of a text that was cut off inside a payload is that payload (R2, R17).
        return len(self._text) if reading.stop and reading.cut else token.start

    def _opens(self, token: MarkupToken) -> _Block | None:
        """Return the block that an opener begins, or None where it is text (R6)."""
        assert token.pair is not None  # every tag has one
        block = None
        if not self._visible:
            return self._find_closer(token.end, frozenset((token.pair,)))
        if self._at_line_start(token.start) and token.pair not in self._hopeless:
            block = self._find_closer(token.end, frozenset((token.pair,)))
            if block.closer is None:
                self._hopeless.add(token.pair)
                block = None
        if block is None:
            self._quoted[token.pair] += 1
            self._visible = True
        return block

    def _at_line_start(self, position: int) -> bool:
        before = self._text[max(0, position - _MAX_INDENT) : position]
        line_is_seen = "\n" in before or position < _MAX_INDENT
        return line_is_seen and not before.rpartition("\n")[2].strip()

    def _closes(self, token: MarkupToken, start: int, spans: list[Span]) -> bool:
        """Handle a closer in the content; False where it belongs to a quoted opener and is text (R6)."""
        assert token.pair is not None  # every tag has one
        if self._quoted[token.pair]:
            self._quoted[token.pair] -= 1
            self._visible = True
            return False
        self._position = token.end
        something = self._visible or bool(spans)
        if self.segments and something and self._is_answer(token, start):
            self._append_text(start, token.start, spans)
            return True
        # R8: everything since the last boundary was reasoning; a repeated closer finds nothing there.
        self.segments.append(Segment("reasoning", start, token.start, tuple(spans)))
        self._visible = self._answered
        return True

    def _is_answer(self, token: MarkupToken, start: int) -> bool:
        """Say whether what stands before a stray closer is an answer, or a call (R30), all the same (P2)."""
        nothing_left = token.end >= self._last
        return nothing_left or len(self._text[start : token.start].strip()) > MAX_TAKEN_BACK

    def _find_closer(self, start: int, pairs: frozenset[TagPair]) -> _Block:
        """Find where a block that is opened with one of the pairs ends (R7, R9)."""
        block = _Block(len(self._text), None)
        zones = self._fallbacks < MAX_FALLBACKS
        found = scan_markup(self._text, start, self._tools, in_block=True, markup=self._markup)
        for token in found if zones else ():
            if token.kind == "close" and token.pair in pairs:
                block.end, block.closer = token.start, (token.start, token.end)
                return block
            if token.kind == "end":
                block.end = token.start
                break
            if token.reading is not None:
                block.spans.append(Span(token.start, token.reading.end, token.reading.calls))
                block.problems += filter(None, (token.reading.problem,))
        quoted = self._quoted_closer(start, block, pairs)
        if quoted is None:
            block.spans = [span for span in block.spans if span.calls]
            return block
        self._fallbacks += 1
        return replace(block, end=quoted[0], closer=quoted)

    def _quoted_closer(self, start: int, block: _Block, pairs: frozenset[TagPair]) -> tuple[int, int] | None:
        """Return the first closer in a zone that is neither tightly wrapped in backticks nor in a call (R7)."""
        spans = iter([span for span in block.spans if span.calls])
        span = next(spans, None)
        pattern = re.compile("|".join(re.escape(pair.closer) for pair in pairs))
        for found in pattern.finditer(self._text, start, block.end):
            while span is not None and span.end <= found.start():
                span = next(spans, None)
            inside_call = span is not None and span.start <= found.start()
            wrapped = self._text[found.start() - 1] == "`" == self._text[found.end() : found.end() + 1]
            if not inside_call and not wrapped:
                return found.span()
        return None


def _plain_paragraph(text: str) -> int:
    """Return where the first plain paragraph after the outline begins, or 0.

    The outline goes on as long as its numbers do: a remark between its items is not the answer.
    """
    expected, outline_end = 1, 0
    for item in _NUMBERED.finditer(text):
        if int(item[1]) == expected:
            expected, outline_end = expected + 1, item.end()
    seen_item = outline_end > 0
    for gap in _PARAGRAPH.finditer(text):
        is_item = _OUTLINE_ITEM.match(text, gap.end()) is not None
        if seen_item and not is_item and gap.end() > outline_end:
            return gap.end()
        seen_item = seen_item or is_item
    return 0
