"""Split an answer into reasoning and content by its tags (R3 to R11, R14, R25).

It asks `marks` what is markup, and decides which channel everything belongs to. The text of a segment is cut
out later; here are only positions.
"""

import re
from collections import Counter
from dataclasses import dataclass, field, replace

from mcp_local_llm.parsing.markup import TagPair, before_tokens
from mcp_local_llm.parsing.markup_scanner import KNOWN_MARKUP, MAX_FALLBACKS, Mark, Markup, marks
from mcp_local_llm.parsing.offered_tools import Toolbox
from mcp_local_llm.parsing.parsed import Segment, Span

MAX_TAKEN_BACK = 400
"""Characters of answer that a stray closer after a closed block may still turn into reasoning.

R8 takes back everything since the last boundary. Where a block was opened and closed before, a longer passage
is an answer: P2 forbids to lose it, and a stream may show it.
"""

_MAX_INDENT = 80

_VISIBLE = re.compile(r"\S")


@dataclass
class _Block:
    """Where a reasoning block ends: at `closer` (start and end of the tag), or with the turn."""

    end: int
    closer: tuple[int, int] | None
    spans: list[Span] = field(default_factory=list[Span])
    problems: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Split:
    """The segments in order, and a sentence for each call that could not be read or result that was dropped."""

    segments: tuple[Segment, ...]
    problems: tuple[str, ...]


def split_channels(text: str, *, think_prefilled: bool, toolbox: Toolbox, markup: Markup = KNOWN_MARKUP) -> Split:
    """Split normalized text. `think_prefilled`: it begins inside a block (R4)."""
    splitter = _Splitter(text, toolbox, markup)
    splitter.run(think_prefilled=think_prefilled)
    return Split(tuple(splitter.segments), tuple(splitter.problems))


class _Splitter:
    """One pass over one text; every method moves `position` forward."""

    def __init__(self, text: str, toolbox: Toolbox, markup: Markup) -> None:
        self._text = text
        self._toolbox = toolbox
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
        for mark in marks(self._text, start, self._toolbox, markup=self._markup):
            self._visible = self._visible or _VISIBLE.search(self._text, cursor, mark.start) is not None
            cursor = mark.end
            if mark.kind == "call":
                cursor = self._call(mark, spans)
                if cursor == len(self._text):
                    break
            elif mark.kind == "open" and (block := self._opens(mark)):
                self._append_text(start, mark.start, spans)
                self._reasoning(mark.end, block)
                return
            elif mark.kind == "close" and self._closes(mark, start, spans):
                return
            elif mark.kind == "end" or (mark.kind == "response" and self._called):
                if mark.kind == "response":
                    self.problems.append("A tool result that the model invented was dropped with what follows it.")
                self._append_text(start, mark.start, spans)
                self._position = len(self._text)
                return
        self._append_text(start, len(self._text), spans)
        self._position = len(self._text)

    def _append_text(self, start: int, end: int, spans: list[Span]) -> None:
        self.segments.append(Segment("text", start, end, tuple(spans)))
        self._answered = self._answered or self._visible

    def _call(self, mark: Mark, spans: list[Span]) -> int:
        """Note a call; return from where on text is visible again, or the end of a text that a payload swallowed."""
        reading = mark.reading
        assert reading is not None  # every mark of this kind has one
        if reading.problem:
            self.problems.append(reading.problem)
        if reading.calls:
            self._called = self._toolbox.offered  # without tools nothing is a call (R13)
            spans.append(Span(mark.start, reading.end, reading.calls))
            return reading.end
        # The rest of a text that was cut off inside a payload is that payload (R2, R17).
        return len(self._text) if reading.stop and reading.cut else mark.start

    def _opens(self, mark: Mark) -> _Block | None:
        """Return the block that an opener begins, or None where it is text (R6)."""
        assert mark.pair is not None  # every tag has one
        block = None
        if not self._visible:
            return self._find_closer(mark.end, frozenset((mark.pair,)))
        if self._at_line_start(mark.start) and mark.pair not in self._hopeless:
            block = self._find_closer(mark.end, frozenset((mark.pair,)))
            if block.closer is None:
                self._hopeless.add(mark.pair)
                block = None
        if block is None:
            self._quoted[mark.pair] += 1
            self._visible = True
        return block

    def _at_line_start(self, position: int) -> bool:
        before = self._text[max(0, position - _MAX_INDENT) : position]
        line_is_seen = "\n" in before or position < _MAX_INDENT
        return line_is_seen and not before.rpartition("\n")[2].strip()

    def _closes(self, mark: Mark, start: int, spans: list[Span]) -> bool:
        """Handle a closer in the content; False where it belongs to a quoted opener and is text (R6)."""
        assert mark.pair is not None  # every tag has one
        if self._quoted[mark.pair]:
            self._quoted[mark.pair] -= 1
            self._visible = True
            return False
        self._position = mark.end
        something = self._visible or bool(spans)
        if self.segments and something and self._is_answer(mark, start):
            self._append_text(start, mark.start, spans)
            return True
        # R8: everything since the last boundary was reasoning; a repeated closer finds nothing there.
        self.segments.append(Segment("reasoning", start, mark.start, tuple(spans)))
        self._visible = self._answered
        return True

    def _is_answer(self, mark: Mark, start: int) -> bool:
        """Say whether what stands before a stray closer is an answer, or a call (R30), all the same (P2)."""
        nothing_left = mark.end >= self._last
        return nothing_left or len(self._text[start : mark.start].strip()) > MAX_TAKEN_BACK

    def _find_closer(self, start: int, pairs: frozenset[TagPair]) -> _Block:
        """Find where a block that is opened with one of the pairs ends (R7, R9)."""
        block = _Block(len(self._text), None)
        zones = self._fallbacks < MAX_FALLBACKS
        found = marks(self._text, start, self._toolbox, in_block=True, markup=self._markup)
        for mark in found if zones else ():
            if mark.kind == "close" and mark.pair in pairs:
                block.end, block.closer = mark.start, (mark.start, mark.end)
                return block
            if mark.kind == "end":
                block.end = mark.start
                break
            if mark.reading is not None:
                block.spans.append(Span(mark.start, mark.reading.end, mark.reading.calls))
                block.problems += filter(None, (mark.reading.problem,))
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


_ANNOUNCED = re.compile(r"\s*(?:\*\*|#+ )?Thinking Process:")


_ANSWER = re.compile(r"^(?:\*\*|#+ )?(?:Final )?Answer:(?:\*\*)?[ \t]*", re.MULTILINE)


_GRANITE = re.compile(r"\s*Here(?:'s| is) my thought process:")


_GRANITE_ANSWER = re.compile(r"Here(?:'s| is) my response:")


_PARAGRAPH = re.compile(r"\n[ \t]*\n(?=\S)")


_OUTLINE_ITEM = re.compile(r"(?:[*+-]|(\d{1,3})[.)])[ \t]")


_NUMBERED = re.compile(r"^(\d{1,3})[.)][ \t]", re.MULTILINE)


def split_outline(text: str) -> tuple[str, str] | None:
    """Return reasoning and answer, or None where there is no announcement or no boundary."""
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
