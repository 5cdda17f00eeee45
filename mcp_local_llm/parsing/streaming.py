"""One answer as it arrives: shows the text that no continuation can change (R28), and parses the whole at the end.

`CertainOutput` finds the text that can be shown:

- Reasoning, from the opener that begins the answer (or from the start of a prefilled block) up to the first marker.
- The answer, once that block was closed outside every zone and so much of it stands there that a stray closer
  can't turn it into reasoning any more (`MAX_TAKEN_BACK`), again up to the first marker.
- Harmony's messages, whose channel is certain from their header.

From the first marker that is anything else, everything waits for the whole-text parser. Each character is looked
at a bounded number of times.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mcp_local_llm.parsing.harmony import HEADER
from mcp_local_llm.parsing.markup import skip_header
from mcp_local_llm.parsing.markup_scanner import KNOWN_MARKUP, Markup, scan_markup
from mcp_local_llm.parsing.offered_tools import OfferedTools
from mcp_local_llm.parsing.parsed import Channel, Parsed, StreamEvent
from mcp_local_llm.parsing.parser import parse
from mcp_local_llm.parsing.reasoning import MAX_TAKEN_BACK

_HARMONY_STARTS = ("<|channel|>", "<|start|>assistant")


# An echoed header and an opener fit into so many characters; more blanks than the limit are not worth following.
_LOOK_AHEAD = 80

_MAX_UNDECIDED = 4096

_Phase = Literal["start", "block", "after", "answer", "header", "waiting"]


class OutputStream:
    """One answer as it arrives."""

    def __init__(
        self,
        *,
        think_prefilled: bool,
        tools: Sequence[Mapping[str, Any]] | None,
        markup: Markup = KNOWN_MARKUP,
    ) -> None:
        self._markup = markup
        self._think_prefilled = think_prefilled
        self._tools = tools
        self._chunks: list[str] = []
        self._certain = CertainOutput(think_prefilled=think_prefilled, tools_offered=bool(tools), markup=markup)

    @property
    def channel(self) -> Channel:
        """The channel of the text that arrives now, for a progress display; may be wrong until `finish`."""
        return self._certain.channel

    def feed(self, chunk: str) -> list[StreamEvent]:
        """Take the next piece of raw output; return what can be shown for certain."""
        self._chunks.append(chunk)
        return self._certain.feed(chunk)

    def finish(self) -> Parsed:
        """Return what `parse` returns for all chunks together."""
        raw = "".join(self._chunks)
        return parse(raw, think_prefilled=self._think_prefilled, tools=self._tools, markup=self._markup)


class CertainOutput:
    """Finds the text of an unfinished answer that can be shown.

    Attributes:
        channel: the channel of the text that arrives now; may be wrong.
    """

    def __init__(self, *, think_prefilled: bool, tools_offered: bool, markup: Markup = KNOWN_MARKUP) -> None:
        self._markup = markup
        self.channel: Channel = "reasoning" if think_prefilled else "text"
        self._prefilled = think_prefilled
        self._tools_offered = tools_offered
        self._phase: _Phase = "start"
        self._closer = self._markup.pairs[0].closer
        self._pending = ""
        self._carriage = ""
        self._block: list[str] = []
        self._shown = {"reasoning": _ShownText(), "text": _ShownText()}
        self._events: list[StreamEvent] = []

    def feed(self, chunk: str) -> list[StreamEvent]:
        """Take a chunk; return what is certain now."""
        if self._phase == "waiting":
            return []
        arrived = self._carriage + chunk
        self._carriage = "\r" if arrived.endswith("\r") else ""
        self._pending += arrived.removesuffix(self._carriage).replace("\r\n", "\n")
        self._events = []
        steps = {
            "start": self._start,
            "block": self._in_block,
            "after": self._after_block,
            "answer": self._in_block,
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
        if visible[0] in "<[◁\ufeff" and len(visible) < _LOOK_AHEAD:
            self._guess(visible)
            return False
        self._pending = self._pending[skip_header(self._pending) :]
        visible = self._pending.lstrip()
        if not visible or (visible[0] in "<[◁" and len(visible) < _LOOK_AHEAD // 2):
            return False
        pair = next((pair for pair in self._markup.pairs if visible.startswith(pair.opener)), None)
        if pair is not None:
            self._pending = visible[len(pair.opener) :]
            return self._enter("block", "reasoning", pair.closer)
        if self._prefilled:
            return self._enter("block", "reasoning", self._markup.pairs[0].closer)
        return self._header() if visible.startswith(_HARMONY_STARTS) else self._wait()

    def _guess(self, visible: str) -> None:
        """Tell a progress display what the first characters look like, before they are certain."""
        pair = next((pair for pair in self._markup.pairs if visible.startswith(pair.opener)), None)
        if pair is not None:
            self.channel = "text" if pair.closer in visible else "reasoning"

    def _enter(self, phase: _Phase, channel: Channel, closer: str) -> bool:
        self._phase, self.channel, self._closer, self._block = phase, channel, closer, []
        self._shown[channel].begin_block()
        return True

    def _header(self) -> bool:
        """Read harmony's header of a message without a recipient."""
        header = HEADER.match(self._pending)
        if header is None:
            return self._wait() if len(self._pending) > 2 * _LOOK_AHEAD else False
        channel, role = (header["channel"] or "").strip(), (header["role"] or "assistant").strip()
        if channel not in ("analysis", "commentary", "final") or role != "assistant":
            return self._wait()
        self._pending = self._pending[header.end() :]
        return self._enter("block", "reasoning" if channel == "analysis" else "text", "<|end|>")

    def _in_block(self) -> bool:
        """Show text up to the first marker; True when the block is closed and something else follows."""
        marker = self._markup.watched_pattern.search(self._pending)
        end = marker.start() if marker else len(self._pending) - _held_back(self._pending, self._markup)
        if self._phase == "block":
            self._block.append(self._pending[:end])
        self._show(self._pending[:end])
        self._pending = self._pending[end:]
        if marker is None:
            return False
        if marker[0] != self._closer or self._phase != "block" or not self._closes(marker[0]):
            return self._wait()
        self._pending = self._pending[len(marker[0]) :]
        if self._closer == "<|end|>":
            self._phase = "header"
            return True
        return self._enter("after", "text", "")

    def _closes(self, closer: str) -> bool:
        """Say whether the closer stands outside every zone of its block, which holds no other marker (R7)."""
        return (
            next(scan_markup("".join(self._block) + closer, 0, OfferedTools(), markup=self._markup), None) is not None
        )

    def _after_block(self) -> bool:
        """Wait until what follows a closed block is an answer for certain."""
        visible = self._pending.strip()
        # An implicit call (R23) is a whole message that begins with one of these.
        if self._tools_offered and visible.startswith(("{", "[", "`", "~")):
            return self._wait()
        if self._markup.watched_pattern.search(self._pending) or (len(self._pending) > _MAX_UNDECIDED >= len(visible)):
            return self._wait()
        if len(visible) <= MAX_TAKEN_BACK + self._markup.longest_watched:
            return False
        self._phase = "answer"
        return True

    def _show(self, text: str) -> None:
        if certain := self._shown[self.channel].add(text):
            self._events.append(("reasoning" if self.channel == "reasoning" else "text", certain))


class _ShownText:
    """The text of one channel that was shown; blanks are held back, because a block of the result is stripped."""

    def __init__(self) -> None:
        self._blanks: list[str] = []
        self._anything = False
        self._block_begun = False

    def begin_block(self) -> None:
        """Begin another block of this channel."""
        self._blanks, self._block_begun = [], False

    def add(self, text: str) -> str:
        """Return what can be shown of the text and of the blanks before it."""
        body = text.rstrip()
        if not body:
            self._blanks.append(text)
            return ""
        # A further block begins on a new line.
        before = "".join(self._blanks) if self._block_begun else "\n" * self._anything
        shown = before + (body if self._block_begun else body.lstrip())
        self._blanks, self._anything, self._block_begun = [text[len(body) :]], True, True
        return shown


def _held_back(text: str, markup: Markup) -> int:
    """Return how many characters at the end could still grow into a marker."""
    tail = text[-markup.longest_watched :]
    beginnings = markup.watched_beginnings
    return next((len(tail) - start for start in range(len(tail)) if tail[start:] in beginnings), 0)
