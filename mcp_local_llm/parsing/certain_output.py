"""Finds the text of an unfinished answer that no continuation can change (R28).

- Reasoning, from the opener that begins the answer (or from the start of a prefilled block) up to the first marker.
- The answer, where the prompt shows that no block is open; otherwise once its block was closed outside every zone and
  so much of it stands there that a stray closer can't turn it into reasoning any more (`MAX_TAKEN_BACK`).
- Harmony's messages, whose channel is certain from their header.

A marker in an answer is either text whatever follows, and the stream goes on, or everything behind it waits for the
whole-text parser. Each character is looked at a bounded number of times.
"""

from typing import Literal

from mcp_local_llm.parsing.announced import may_announce
from mcp_local_llm.parsing.answer_markers import AnswerMarkers
from mcp_local_llm.parsing.harmony import HEADER
from mcp_local_llm.parsing.markup import FRAME_OPENERS, HEADER_STARTS, TagPair, skip_header
from mcp_local_llm.parsing.markup_scanner import KNOWN_MARKUP, Markup, scan_markup
from mcp_local_llm.parsing.offered_tools import OfferedTools
from mcp_local_llm.parsing.parsed import Channel, StreamEvent
from mcp_local_llm.parsing.reasoning import MAX_TAKEN_BACK
from mcp_local_llm.parsing.shown_text import ShownText

_HARMONY_STARTS = ("<|channel|>", "<|start|>assistant")

_IMPLICIT_CALLS = ("{", "[", "`", "~", "call:")
"""What a message that is an implicit call (R23) begins with."""

# An echoed header and an opener fit into so many characters; more blanks than the limit are not worth following.
_LOOK_AHEAD = 80

_MAX_UNDECIDED = 4096

_Phase = Literal["start", "block", "after", "answer", "header", "waiting"]


class CertainOutput:
    """Takes an answer in pieces, and returns what can be shown of it.

    Attributes:
        channel: the channel of the text that arrives now; may be wrong.
    """

    def __init__(
        self,
        *,
        think_prefilled: bool,
        tools_offered: bool,
        markup: Markup = KNOWN_MARKUP,
        answer_begun: bool = False,
    ) -> None:
        self._markup = markup
        self.channel: Channel = "reasoning" if think_prefilled else "text"
        self._prefilled = think_prefilled
        self._tools_offered = tools_offered
        self._answer_begun = answer_begun and not think_prefilled
        self._markers: AnswerMarkers | None = None
        self._phase: _Phase = "start"
        self._closer = ""
        self._pending = ""
        self._stripped = self._harmony = False
        self._block: list[str] = []
        self._shown = {"reasoning": ShownText(), "text": ShownText()}
        self._events: list[StreamEvent] = []

    def feed(self, chunk: str) -> list[StreamEvent]:
        """Take a chunk; return what is certain now."""
        if self._phase == "waiting":
            return []
        self._pending += chunk
        self._events = []
        steps = {
            "start": self._start,
            "block": self._in_block,
            "after": self._after_block,
            "answer": self._in_answer,
            "header": self._header,
        }
        while (step := steps.get(self._phase)) is not None and step():
            pass
        return self._events

    def _wait(self) -> bool:
        """Leave everything else to the whole-text parser."""
        self._phase, self._pending, self._block = "waiting", "", []
        return False

    def _start(self) -> bool:
        """Find out what the answer begins with; True when that is known."""
        visible = self._pending.lstrip()
        if not visible:
            return self._wait() if len(self._pending) > _MAX_UNDECIDED else False
        if self._may_grow(visible):
            self._guess(visible)
            return False
        header = skip_header(self._pending)
        self._pending, self._stripped = self._pending[header:], self._stripped or header > 0
        visible = self._pending.lstrip()
        if not visible or self._may_grow(visible):
            return False
        pair = self._opened(visible)
        if pair is not None and pair in self._markup.foreign:
            return self._wait()  # its closer must follow
        if pair is not None:
            self._pending, self._answer_begun = visible[len(pair.opener) :], False
            return self._enter("block", "reasoning", pair.closer)
        if self._prefilled:
            return self._enter("block", "reasoning", self._markup.pairs[0].closer if self._markup.pairs else "</think>")
        if visible.startswith(_HARMONY_STARTS):
            return self._header()
        return self._answers(visible) if self._answer_begun else self._wait()

    def _may_grow(self, visible: str) -> bool:
        """Say whether the beginning of an answer can still turn out to be markup, or a longer piece of it."""
        if len(visible) >= _LOOK_AHEAD:
            return False
        if not self._answer_begun:
            return visible[0] in "<[◁\ufeff" or visible in self._markup.watched_beginnings
        if visible.startswith(HEADER_STARTS):
            return skip_header(visible) == 0 or not visible[skip_header(visible) :].strip()
        return any(literal != visible and literal.startswith(visible) for literal in self._markup.beginnings)

    def _opened(self, visible: str) -> TagPair | None:
        pairs = (*self._markup.pairs, *self._markup.foreign)
        return next((pair for pair in pairs if visible.startswith(pair.opener)), None)

    def _guess(self, visible: str) -> None:
        """Tell a progress display what the first characters look like, before they are certain."""
        pair = self._opened(visible)
        if pair is not None:
            self.channel = "text" if pair.closer in visible else "reasoning"

    def _answers(self, visible: str) -> bool:
        """Begin with the answer at once, unless it may be something else as a whole."""
        if may_announce(visible):
            return self._wait() if visible.endswith(":") or len(visible) > _LOOK_AHEAD else False
        if self._tools_offered and visible.startswith(_IMPLICIT_CALLS):
            return self._wait()
        if self._tools_offered and any(call.startswith(visible) for call in _IMPLICIT_CALLS):
            return False
        if visible.startswith(FRAME_OPENERS) or self._markup.wraps(visible):
            return self._wait()
        self._shown["text"].begin_block("lines" if self._stripped else "all")
        self._markers = AnswerMarkers(self._markup, tools_offered=self._tools_offered, answer_begun=True)
        self._phase, self.channel = "answer", "text"
        return True

    def _enter(self, phase: _Phase, channel: Channel, closer: str) -> bool:
        self._phase, self.channel, self._closer, self._block = phase, channel, closer, []
        self._shown[channel].begin_block("lines" if phase == "after" else "none")
        return True

    def _header(self) -> bool:
        """Read harmony's header of a message without a recipient."""
        header = HEADER.match(self._pending)
        if header is None:
            return self._wait() if len(self._pending) > 2 * _LOOK_AHEAD else False
        channel, role = (header["channel"] or "").strip(), (header["role"] or "assistant").strip()
        if channel not in ("analysis", "commentary", "final") or role != "assistant":
            return self._wait()
        self._pending, self._markup, self._harmony = self._pending[header.end() :], KNOWN_MARKUP, True
        return self._enter("block", "reasoning" if channel == "analysis" else "text", "<|end|>")

    def _in_block(self) -> bool:
        """Show a block up to the first marker; True when the block is closed and something else follows."""
        marker = self._markup.watched_pattern.search(self._pending)
        end = marker.start() if marker else len(self._pending) - self._markup.held_back(self._pending)
        self._block.append(self._pending[:end])
        self._show(self._pending[:end])
        self._pending = self._pending[end:]
        if marker is None:
            return False
        if self._pending in self._markup.watched_beginnings:
            return False
        literal = marker[0]
        meaning = self._markup.meanings.get(literal)
        if meaning is not None and meaning.kind == "open" and not self._harmony:
            self._block.append(literal)
            self._show(literal)
            self._pending = self._pending[len(literal) :]
            return True
        if literal != self._closer or not self._closes(literal):
            return self._wait()
        self._pending = self._pending[len(literal) :]
        if self._harmony:
            self._phase = "header"
            return True
        return self._enter("after", "text", "")

    def _closes(self, closer: str) -> bool:
        """Say whether the closer stands outside every zone of its block (R7)."""
        block = "".join(self._block)
        found = scan_markup(block + closer, 0, OfferedTools(), in_block=True, markup=self._markup)
        return any(token.start == len(block) for token in found)

    def _after_block(self) -> bool:
        """Wait until what follows a closed block is an answer for certain."""
        visible = self._pending.strip()
        frame = next((frame for frame in FRAME_OPENERS if visible.startswith(frame)), None)
        if frame is not None and self._markup.meanings[frame].name is None:
            self._pending = self._pending.lstrip()[len(frame) :]
            return True
        if self._tools_offered and visible.startswith(_IMPLICIT_CALLS):
            return self._wait()
        if self._markup.wraps(visible) or (len(self._pending) > _MAX_UNDECIDED >= len(visible)):
            return self._wait()
        marker = self._markup.watched_pattern.search(self._pending)
        if marker is not None and self._pending[marker.start() :] not in self._markup.watched_beginnings:
            return self._wait()
        if len(visible) <= MAX_TAKEN_BACK + self._markup.longest_watched:
            return False
        self._markers = AnswerMarkers(self._markup, tools_offered=self._tools_offered, answer_begun=False)
        self._phase = "answer"
        return True

    def _in_answer(self) -> bool:
        """Show the answer, with the markers in it that are text whatever follows."""
        assert self._markers is not None
        marker = self._markup.watched_pattern.search(self._pending)
        end = marker.start() if marker else len(self._pending) - self._markup.held_back(self._pending)
        self._show(self._pending[:end])
        self._markers.take(self._pending[:end])
        self._pending = self._pending[end:]
        if marker is None or self._pending in self._markup.watched_beginnings:
            return False
        match self._markers.decide(marker[0], self._pending):
            case "text":
                self._show(marker[0])
                self._markers.take(marker[0])
            case "boundary":
                self._phase = "after"
            case "more":
                return self._wait() if len(self._pending) > _MAX_UNDECIDED else False
            case "wait":
                return self._wait()
        self._pending = self._pending[len(marker[0]) :]
        return True

    def _show(self, text: str) -> None:
        if certain := self._shown[self.channel].add(text):
            self._events.append(("reasoning" if self.channel == "reasoning" else "text", certain))
