"""Server-sent events, both ways: bytes to events and comments, and back; and progress as the text of a comment.

Pure. It must not know the data of an event. Source: the HTML standard, section 9.2.6 ("Interpreting an event stream").
Progress is read from our own comments and from mlx_lm.server's `keepalive DONE/TOTAL`.
"""

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from mcp_local_llm.values.progress import Phase, Progress

DONE = "[DONE]"
"""The data of the last event of OpenAI's streams."""


MAX_LINE = 16 * 2**20
"""Characters of one event; a longer one is no event stream."""

_LINE_END = re.compile(r"\r\n|\n|\r")

_OUR_COMMENT = re.compile(r"local-llm (\w+) (\d{1,15})/(\d{1,15}|\?)(?: (\d{1,15}(?:\.\d{1,15})?))?")

_KEEPALIVE = re.compile(r"keepalive (\d{1,15})/(\d{1,15})")

_PHASES: Mapping[str, Phase] = {phase: phase for phase in get_args(Phase)}


@dataclass(frozen=True)
class SseEvent:
    """One event. `kind` is `message` unless the stream names another, such as `error`."""

    data: str
    kind: str = "message"


@dataclass(frozen=True)
class SseComment:
    """A line that clients ignore; servers send it to keep a connection alive, some with progress in it."""

    text: str


SseItem = SseEvent | SseComment


class SseReader:
    """Takes bytes in chunks of any size and returns complete events; ignores unknown fields and invalid UTF-8."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._line: list[str] = []
        self._length = 0
        self._event_length = 0
        self._after_cr = False
        self._data: list[str] = []
        self._kind = ""

    def feed(self, chunk: bytes) -> list[SseItem]:
        """Take the next bytes; return the events and comments that end in them.

        Raises:
            ValueError: an event is longer than `MAX_LINE`.
        """
        text = self._decoder.decode(chunk)
        if self._after_cr and text:
            # The line ended with the CR already; this LF is its second half.
            text = text.removeprefix("\n")
            self._after_cr = False
        self._after_cr = self._after_cr or text.endswith("\r")
        *ended, rest = _LINE_END.split(text)
        items: list[SseItem] = []
        for piece in ended:
            items += self._end_line(piece)
        self._keep(rest)
        return items

    def finish(self) -> list[SseItem]:
        """Return the event that the end of the stream cut short of its blank line, if there is one.

        The standard drops it; servers that forget the last blank line are common, and a cut one fails as JSON.
        """
        self._keep(self._decoder.decode(b"", final=True))
        return [*self._end_line(""), *self._dispatch()]

    def _keep(self, piece: str) -> None:
        self._length += len(piece)
        if self._event_length + self._length > MAX_LINE:
            raise ValueError(f"an event that is longer than {MAX_LINE} characters")
        if piece:
            self._line.append(piece)

    def _end_line(self, piece: str) -> list[SseItem]:
        self._keep(piece)
        line = "".join(self._line)
        self._line.clear()
        self._length = 0
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "":
                return [SseComment(value)]
            case "data":
                self._data.append(value)
                self._event_length += len(value) + 1
            case "event":
                self._kind = value
            case _:
                pass  # id, retry and unknown fields
        return []

    def _dispatch(self) -> list[SseItem]:
        data, kind = "\n".join(self._data), self._kind or "message"
        self._kind = ""
        self._event_length = 0
        if not self._data:
            return []
        self._data.clear()
        return [SseEvent(data, kind)]


def sse_bytes(item: SseItem) -> bytes:
    """Frame an event or a comment; text of several lines becomes several fields."""
    if isinstance(item, SseComment):
        head, field, text = "", "", item.text
    else:
        head, field, text = "" if item.kind == "message" else f"event: {item.kind}\n", "data", item.data
    return (head + "".join(f"{field}: {line}\n" for line in _LINE_END.split(text)) + "\n").encode()


def progress_comment(progress: Progress) -> str:
    """Write a step of progress as the text of a comment."""
    total = "?" if progress.total is None else progress.total
    rate = "" if progress.rate is None else f" {progress.rate:.2f}"
    return f"local-llm {progress.phase} {progress.done}/{total}{rate}"


def read_comment(text: str) -> Progress | None:
    """Return the progress in a comment; None for any other comment."""
    if keepalive := _KEEPALIVE.fullmatch(text.strip()):
        return Progress("prefill", int(keepalive[1]), int(keepalive[2]))
    if ours := _OUR_COMMENT.fullmatch(text.strip()):
        phase = _PHASES.get(ours[1])
        total = None if ours[3] == "?" else int(ours[3])
        return Progress(phase, int(ours[2]), total, float(ours[4]) if ours[4] else None) if phase else None
    return None
