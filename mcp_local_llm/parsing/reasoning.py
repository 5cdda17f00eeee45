"""Splits an answer into reasoning and content by its tags (R3 to R11, R14, R25), as positions only."""

import re
from collections import Counter
from dataclasses import dataclass, field, replace

from mcp_local_llm.parsing.markup import FRAME_OPENERS, MESSAGE_STARTS, THINK, TagPair, before_tokens
from mcp_local_llm.parsing.markup_scanner import KNOWN_MARKUP, MAX_FALLBACKS, Markup, MarkupToken, scan_markup
from mcp_local_llm.parsing.offered_tools import OfferedTools
from mcp_local_llm.parsing.parsed import Segment, Span

MAX_TAKEN_BACK = 400
"""Characters of answer that a stray closer after a closed block may still turn into reasoning.

R8 takes back everything since the last boundary. Where a block was opened and closed before, a longer passage
is an answer: P2 forbids losing it, and a stream may have shown it.
"""

INVENTED = "A tool result that the model invented was dropped with what follows it."

_MAX_INDENT = 80

_VISIBLE = re.compile(r"\S")

_MORE_MARKUP = re.compile(r"\s*(?:<\||\Z)")

_REST_OF_SENTENCE = re.compile(r"[ \t]+\S|[.,;:!?)\"']")


@dataclass(frozen=True)
class SplitAnswer:
    """The segments in order.

    Attributes:
        problems: a sentence for each call that could not be read, and result that was dropped.
        losses: a sentence for each text that was dropped or taken for reasoning.
    """

    segments: tuple[Segment, ...]
    problems: tuple[str, ...]
    losses: tuple[str, ...] = ()


def split_reasoning(
    text: str, *, think_prefilled: bool, tools: OfferedTools, markup: Markup = KNOWN_MARKUP, answer_begun: bool = False
) -> SplitAnswer:
    """Split a text without its header and its last tokens.

    Args:
        text: the model's output.
        think_prefilled: it begins inside a block (R4).
        tools: the tools that were offered.
        markup: the model's markup.
        answer_begun: it begins with the answer, so that a closer without an opener is text.
    """
    splitter = _Splitter(text, tools, markup, answer_begun=answer_begun)
    splitter.run(think_prefilled=think_prefilled)
    return SplitAnswer(tuple(splitter.segments), tuple(splitter.problems), tuple(splitter.losses))


def in_sentence(before: str, behind: str) -> bool:
    """Say whether a tag is named in a sentence: a word stands before it on its line, and the line goes on."""
    line = before.rpartition("\n")[2]
    return line.strip() != "" and line[-1] in " \"'(" and _REST_OF_SENTENCE.match(behind) is not None


@dataclass
class _Block:
    """Where a reasoning block ends: at `closer` (start and end of the tag), or with the turn."""

    end: int
    closer: tuple[int, int] | None
    spans: list[Span] = field(default_factory=list[Span])
    problems: list[str] = field(default_factory=list[str])


class _Splitter:
    """One pass over one text; every method moves `position` forward."""

    def __init__(self, text: str, tools: OfferedTools, markup: Markup, *, answer_begun: bool) -> None:
        self._text = text
        # Until a block is opened: from then on a closer may be a repeated one.
        self._stray_is_text = answer_begun
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
        self.losses: list[str] = []

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
        likeliest, *others = self._markup.pairs or (THINK,)
        for pairs in ((opener,),) if opener else filter(None, ((likeliest,), others)):
            block = self._find_closer(start, frozenset(pairs))
            if block.closer:
                break
        else:
            block = self._find_closer(start, frozenset((likeliest,)))
        self._reasoning(start, block)

    def _reasoning(self, start: int, block: _Block) -> None:
        closed, self._stray_is_text = block.closer is not None, False
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
            elif token.kind == "end" or (token.kind == "frame" and self._frames(token, start, spans)):
                self._append_text(start, token.start, spans, ends_message=True)
                goes_on = token.kind == "frame" or self._text.startswith(MESSAGE_STARTS, token.end)
                self._position = token.end if goes_on else self._end_turn(token)
                return
            elif token.kind == "response" and self._called:
                self.problems.append(INVENTED)
                self._append_text(start, token.start, spans)
                self._position = len(self._text)
                return
        self._append_text(start, len(self._text), spans)
        self._position = len(self._text)

    def _end_turn(self, token: MarkupToken) -> int:
        """Drop what follows the end of the turn (R3)."""
        rest = self._text[token.end : max(self._last, token.end)].strip()
        if rest:
            self.losses.append(
                f"The model went on behind {self._text[token.start : token.end]}, which ends a turn; "
                f"{len(rest)} characters were dropped."
            )
        return len(self._text)

    def _frames(self, token: MarkupToken, start: int, spans: list[Span]) -> bool:
        """Say whether the frame of a message stands where one can: before its text, or behind it."""
        if self._text.startswith(FRAME_OPENERS, token.start):
            begun = spans[-1].end if spans else start
            return _VISIBLE.search(self._text, begun, token.start) is None
        return _MORE_MARKUP.match(self._text, token.end) is not None

    def _append_text(self, start: int, end: int, spans: list[Span], *, ends_message: bool = False) -> None:
        self.segments.append(Segment("text", start, end, tuple(spans), ends_message=ends_message))
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
        if not self._visible and token.pair not in self._markup.foreign:
            return self._find_closer(token.end, frozenset((token.pair,)))
        only_at_start = token.pair in self._markup.foreign or self._stray_is_text
        here = not self._visible if only_at_start else self._at_line_start(token.start)
        if here and token.pair not in self._hopeless:
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
        if token.pair in self._markup.foreign or self._stray_is_text or self._is_mention(token):
            self._visible = True
            return False
        self._position = token.end
        something = self._visible or bool(spans)
        if self.segments and something and self._is_answer(token, start):
            self._append_text(start, token.start, spans)
            return True
        # R8: everything since the last boundary was reasoning; a repeated closer finds nothing there.
        taken = self._text[start : token.start].strip()
        if taken:
            self.losses.append(
                f"{len(taken)} characters before {self._text[token.start : token.end]}, which nothing had opened, "
                "were taken for reasoning."
            )
        self.segments.append(Segment("reasoning", start, token.start, tuple(spans)))
        self._visible = self._answered
        return True

    def _is_mention(self, token: MarkupToken) -> bool:
        """Say whether a known model names its closer in a sentence, which goes on behind it on the same line."""
        before = self._text[max(0, token.start - _MAX_INDENT) : token.start]
        return self._markup.exact and in_sentence(before, self._text[token.end : token.end + _MAX_INDENT])

    def _is_answer(self, token: MarkupToken, start: int) -> bool:
        """Say whether what stands before a stray closer is an answer, or a call (R30), all the same (P2)."""
        nothing_left = token.end >= self._last
        return nothing_left or len(self._text[start : token.start].strip()) > MAX_TAKEN_BACK

    def _find_closer(self, start: int, pairs: frozenset[TagPair]) -> _Block:
        """Find where a block that is opened with one of the pairs ends (R7, R9)."""
        block = _Block(len(self._text), None)
        closers = tuple(closer for pair in pairs for closer in pair.closers)
        zones = self._fallbacks < MAX_FALLBACKS
        found = scan_markup(self._text, start, self._tools, in_block=True, markup=self._markup)
        invented: int | None = None
        for token in found if zones else ():
            if self._text.startswith(closers, token.start):
                block.end, block.closer = token.start, (token.start, token.end)
                return block
            if token.kind == "end":
                block.end = token.start
                break
            if token.reading is not None:
                block.spans.append(Span(token.start, token.reading.end, token.reading.calls))
                block.problems += filter(None, (token.reading.problem,))
            elif token.kind == "response" and invented is None and self._calls_before(token.start, block):
                invented = token.start
        quoted = self._quoted_closer(start, block, closers)
        if quoted is None:
            if invented is not None:
                # A thought that ends in a call waits for its result, which only the client may write (R14, R25).
                block.end = invented
                block.problems.append(INVENTED)
            block.spans = [span for span in block.spans if span.calls and span.end <= block.end]
            return block
        self._fallbacks += 1
        return replace(block, end=quoted[0], closer=quoted)

    def _calls_before(self, position: int, block: _Block) -> bool:
        last = block.spans[-1] if block.spans else None
        if last is None or not last.calls or not self._tools.offered:
            return False
        return _VISIBLE.search(self._text, last.end, position) is None

    def _quoted_closer(self, start: int, block: _Block, closers: tuple[str, ...]) -> tuple[int, int] | None:
        """Return the first closer in a zone that is neither tightly wrapped in backticks nor in a call (R7)."""
        spans = iter([span for span in block.spans if span.calls])
        span = next(spans, None)
        pattern = re.compile("|".join(map(re.escape, closers)))
        for found in pattern.finditer(self._text, start, block.end):
            while span is not None and span.end <= found.start():
                span = next(spans, None)
            inside_call = span is not None and span.start <= found.start()
            wrapped = self._text[found.start() - 1] == "`" == self._text[found.end() : found.end() + 1]
            if not inside_call and not wrapped:
                return found.span()
        return None
