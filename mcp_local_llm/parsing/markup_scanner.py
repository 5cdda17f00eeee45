"""Finds markup in one pass over a channel, and skips literal zones (R2) and the payloads of calls.

It decides what is markup and what is quoted. It must not know what a token of markup means for the answer.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from mcp_local_llm.parsing.markup import (
    END_OF_TURN,
    FRAME_CLOSERS,
    FRAME_NAMES,
    FRAME_OPENERS,
    HARMONY_HEADS,
    HARMONY_MARKS,
    HEADER_STARTS,
    RESPONSE_WRAPPERS,
    TAG_PAIRS,
    WORD_PAIRS,
    TagPair,
    any_literal,
)
from mcp_local_llm.parsing.offered_tools import OfferedTools
from mcp_local_llm.parsing.tool_formats.reader import Reading, read_element
from mcp_local_llm.parsing.tool_formats.table import RESPONSES, WRAPPERS, Wrapper

MAX_FALLBACKS = 8
"""How often one text may need the first closer inside a zone (R7).

Zones hide every closer only by accident. A text in which they do so repeatedly is read without zones, in linear time.
"""

MarkupKind = Literal["open", "close", "end", "response", "call", "harmony", "frame"]


@dataclass(frozen=True)
class MarkupMeaning:
    """What one literal means; `pair` and `wrapper` belong to reasoning tags and openers of calls.

    Attributes:
        name: what must follow the literal and belongs to it; a harmony head is anything else.
    """

    kind: MarkupKind
    pair: TagPair | None = None
    wrapper: Wrapper | None = None
    name: re.Pattern[str] | None = None


@dataclass(frozen=True)
class MarkupToken:
    """One piece of markup outside every literal zone.

    Attributes:
        reading: the content of the element, where this is the opener of a call.
    """

    kind: MarkupKind
    start: int
    end: int
    pair: TagPair | None = None
    reading: Reading | None = None


@dataclass(frozen=True)
class Markup:
    """The literals that are markup in one model's answers.

    Attributes:
        pairs: the tags of its reasoning blocks, the likeliest first.
        foreign: tags that it does not use; they mark a closed block at the very start of an answer, and nothing else.
        ends: what ends a turn where it stands in the text; nothing where the ids of the tokens tell.
        wrappers: tags around an answer that follows reasoning.
        exact: the model is known, so that what it does not use is text.
        harmony: its messages may have harmony's heads at any place, and not only at the start.
    """

    pairs: tuple[TagPair, ...]
    foreign: tuple[TagPair, ...] = ()
    ends: tuple[str, ...] = END_OF_TURN
    wrappers: tuple[tuple[str, str], ...] = RESPONSE_WRAPPERS
    exact: bool = False
    harmony: bool = True

    @cached_property
    def meanings(self) -> Mapping[str, MarkupMeaning]:
        """Every literal that is markup."""
        pairs = [*self.pairs, *self.foreign]
        return (
            {wrapper.opener: MarkupMeaning("call", wrapper=wrapper) for wrapper in WRAPPERS}
            | {pair.closer: MarkupMeaning("close", pair=pair) for pair in reversed(pairs)}
            | {pair.opener: MarkupMeaning("open", pair=pair) for pair in pairs}
            | {head: MarkupMeaning("harmony") for head in HARMONY_HEADS}
            | {frame: MarkupMeaning("frame", name=FRAME_NAMES.get(frame)) for frame in (*FRAME_OPENERS, *FRAME_CLOSERS)}
            | {token: MarkupMeaning("end") for token in self.ends}
            | {token: MarkupMeaning("response") for token in RESPONSES}
        )

    @cached_property
    def token(self) -> re.Pattern[str]:
        """Finds the next literal, line end or run of backticks."""
        # Each branch begins with a literal character, so that the search skips prose quickly.
        return re.compile(rf"\n|``*+|{any_literal(self.meanings)}")

    @cached_property
    def meaningless_at_end(self) -> tuple[str, ...]:
        """Literals that carry no meaning at the end of an answer."""
        return (*self.ends, *(pair.closer for pair in self.pairs))

    @cached_property
    def watched(self) -> tuple[str, ...]:
        """Literals at which a stream must not show text any further without looking at them."""
        wrappers = [tag for pair in self.wrappers for tag in pair]
        return (*self.meanings, *wrappers, *(("</s>",) if self.ends else ()), *HARMONY_MARKS)

    @cached_property
    def beginnings(self) -> tuple[str, ...]:
        """What an answer may begin with that is not its text."""
        return (*self.watched, *HEADER_STARTS)

    @cached_property
    def watched_pattern(self) -> re.Pattern[str]:
        """Finds the first of `watched`."""
        return re.compile(any_literal(self.watched))

    @cached_property
    def longest_watched(self) -> int:
        """Characters of the longest of `watched`."""
        return max(map(len, self.watched))

    @cached_property
    def watched_beginnings(self) -> frozenset[str]:
        """Every text that can still grow into one of `watched`."""
        return frozenset(literal[:length] for literal in self.watched for length in range(1, len(literal)))

    def opened(self, pair: TagPair | None) -> "Markup":
        """Return the markup of an answer whose prompt left a block of this pair open."""
        if pair is None or pair in self.pairs[:1]:
            return self
        ends = (*self.ends, *((pair.closer,) if pair.closer in END_OF_TURN and pair.closer not in self.ends else ()))
        others, foreign = (tuple(one for one in pairs if one != pair) for pairs in (self.pairs, self.foreign))
        return replace(self, pairs=(pair, *others), foreign=foreign, ends=ends)

    def held_back(self, text: str) -> int:
        """Return how many characters at the end could still grow into a marker."""
        tail = text[-self.longest_watched :]
        starts = range(len(tail))
        return next((len(tail) - start for start in starts if tail[start:] in self.watched_beginnings), 0)

    def wraps(self, answer: str) -> bool:
        """Say whether an answer begins with the tag that a family writes around it."""
        return answer.startswith(tuple(opener for opener, _ in self.wrappers))


def markup_of(pairs: Sequence[TagPair]) -> Markup:
    """Return the markup of answers whose reasoning blocks have one of these tags, and of which no more is known."""
    return Markup(tuple(pairs))


KNOWN_MARKUP = markup_of(TAG_PAIRS)
"""For the answers of other servers, whose model is not known."""


def markup_of_model(pairs: Sequence[TagPair], uses: Callable[[str], bool], ends: Collection[str] = ()) -> Markup:
    """Return the markup of a model whose tokenizer and template are known.

    Args:
        pairs: the tags of its reasoning blocks, the likeliest first; none where it does not reason.
        uses: says whether a literal is a token of its own or stands in the template.
        ends: what ends its turns although no token of its own does.
    """
    own = tuple(pairs)
    foreign = tuple(pair for pair in TAG_PAIRS if pair not in own and pair not in WORD_PAIRS)
    shared = [pair.closer for pair in own if pair.closer in END_OF_TURN]
    wrappers = tuple(pair for pair in RESPONSE_WRAPPERS if uses(pair[0]))
    return Markup(own, foreign, (*ends, *shared), wrappers, exact=True, harmony=uses("<|channel|>"))


# A fence may be indented by three spaces; the info string of a backtick fence holds no backtick.
_FENCE = re.compile(r" {0,3}(?:(?P<ticks>`{3,})[^`\n]*|(?P<tildes>~{3,})[^\n]*)(?=\n|\Z)")
_CLOSING_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t\r]*$", re.MULTILINE)


def scan_markup(
    text: str, start: int, tools: OfferedTools, *, in_block: bool = False, markup: Markup = KNOWN_MARKUP
) -> Iterator[MarkupToken]:
    """Yield the markup of the channel that begins at `start`, in order.

    Zones begin afresh at `start`. Openers of calls that turn out to be text are not yielded; nothing inside
    the payload of a call is. A payload that fails stays in an answer as it was (R21), so nothing inside it is
    yielded either; in a block of reasoning it is text like any other and must not hide the closer (R15).
    """
    position = _after_fence(text, start)
    runs = 0  # of backticks on this line since the last zone
    calls_from = quoted_from = 0  # openers before are not looked at
    while (token := markup.token.search(text, position)) is not None:
        position = token.end()
        if token[0] == "\n":
            runs, position = 0, _after_fence(text, position)
            continue
        if token[0][0] == "`":
            runs += 1
            continue
        marker, quoted = markup.meanings[token[0]], runs % 2 == 1
        if marker.wrapper is None:
            name = marker.name.match(text, position) if marker.name else None
            kind = "harmony" if marker.name and not name else marker.kind
            position = name.end() if name else position
            if not quoted:
                yield MarkupToken(kind, token.start(), position, marker.pair)
        elif token.start() >= (quoted_from if quoted else calls_from):
            reading = read_element(text, token.start(), marker.wrapper, tools)
            if reading is None:
                continue
            if quoted:
                # A call that begins in inline code is an example, also where it goes on behind the line.
                quoted_from = len(text) if reading.stop else 0
                position = reading.resume if reading.calls and not reading.stop else position
                continue
            calls_from = len(text) if reading.stop else reading.resume
            yield MarkupToken("call", token.start(), reading.end, reading=reading)
            # A payload without an end is no zone: the block around it may still be closed.
            if reading.calls or not (reading.stop or in_block):
                runs, position = 0, _after_call(text, reading)


def _after_call(text: str, reading: Reading) -> int:
    # Once the call is removed, the rest of its line begins a new line.
    return _after_fence(text, reading.resume) if reading.calls else reading.resume


def _after_fence(text: str, line: int) -> int:
    """Return the end of the fence that opens at this line start, or the line start itself."""
    opening = _FENCE.match(text, line)
    if opening is None:
        return line
    mark = opening["ticks"] or opening["tildes"]
    for closing in _CLOSING_FENCE.finditer(text, opening.end()):
        if closing[1][0] == mark[0] and len(closing[1]) >= len(mark):
            return closing.end()
    return len(text)
