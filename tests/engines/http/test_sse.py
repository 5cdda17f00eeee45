"""Event streams in every cut."""

import pytest

from mcp_local_llm.values.progress import Progress
from mcp_local_llm.wire import sse
from mcp_local_llm.wire.sse import (
    MAX_LINE,
    SseComment,
    SseEvent,
    SseItem,
    SseReader,
    progress_comment,
    read_comment,
    sse_bytes,
)

STREAMS: dict[str, tuple[bytes, list[SseItem]]] = {
    "one event": (b"data: a\n\n", [SseEvent("a")]),
    "CRLF": (b"data: a\r\n\r\ndata: b\r\n\r\n", [SseEvent("a"), SseEvent("b")]),
    "CR": (b"data: a\r\rdata: b\r\r", [SseEvent("a"), SseEvent("b")]),
    "mixed ends": (b"data: a\r\n\ndata: b\n\r\n", [SseEvent("a"), SseEvent("b")]),
    "several lines": (b"data: a\ndata: b\ndata\n\n", [SseEvent("a\nb\n")]),
    "no blank after the colon": (b"data:a\n\n", [SseEvent("a")]),
    "two blanks after the colon": (b"data:  a\n\n", [SseEvent(" a")]),
    "a kind": (b"event: error\ndata: a\n\ndata: b\n\n", [SseEvent("a", "error"), SseEvent("b")]),
    "a comment": (b": keepalive\n\ndata: a\n\n", [SseComment("keepalive"), SseEvent("a")]),
    "fields that nobody knows": (b"id: 1\nretry: 2\nnonsense\nfoo: bar\ndata: a\n\n", [SseEvent("a")]),
    "blank lines": (b"\n\n\ndata: a\n\n\n\n", [SseEvent("a")]),
    "a byte order mark": (b"\xef\xbb\xbfdata: a\n\n", [SseEvent("a")]),
    "letters of several bytes": ("data: ä€😀\n\n".encode(), [SseEvent("ä€😀")]),
    "invalid UTF-8": (b"data: \xff\n\n", [SseEvent("\ufffd")]),
    "no blank line at the end": (b"data: a\n", [SseEvent("a")]),
    "no line end at the end": (b"data: a", [SseEvent("a")]),
    "an event without data": (b"event: ping\n\ndata: a\n\n", [SseEvent("a")]),
    "line separators that are none": ("data: a\u2028b\x0bc\n\n".encode(), [SseEvent("a\u2028b\x0bc")]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(("stream", "expected"), STREAMS.values(), ids=STREAMS.keys())
def test_a_stream_reads_the_same_in_every_cut(stream: bytes, expected: list[SseItem], size: int) -> None:
    reader = SseReader()
    items = [item for start in range(0, len(stream), size) for item in reader.feed(stream[start : start + size])]
    assert [*items, *reader.finish()] == expected


@pytest.mark.parametrize("item", [SseEvent("a"), SseEvent("a\nb"), SseEvent("x", "error"), SseComment("keep")])
def test_what_is_written_is_read(item: SseItem) -> None:
    assert SseReader().feed(sse_bytes(item)) == [item]


def test_a_line_without_end_is_given_up() -> None:
    reader = SseReader()
    reader.feed(b"x" * (MAX_LINE - 1))
    with pytest.raises(ValueError, match="longer than"):
        reader.feed(b"xx")


def test_an_event_without_end_is_given_up_and_comments_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_LINE", 1000)
    reader = SseReader()
    assert len(reader.feed(b": keepalive\n" * 1000)) == 1000
    assert reader.feed(b"data\n" * 990) == []
    with pytest.raises(ValueError, match="longer than"):
        reader.feed(b"data\n" * 11)


@pytest.mark.parametrize(
    "progress",
    [Progress("queued", 2), Progress("loading", 10, 100), Progress("answer", 5, rate=31.5), Progress("reasoning", 1)],
)
def test_progress_survives_as_a_comment(progress: Progress) -> None:
    assert read_comment(progress_comment(progress)) == progress


@pytest.mark.parametrize(
    "text", ["", "ping", "local-llm", "local-llm dancing 1/2", "keepalive x/y", f"keepalive {'9' * 5000}/1"]
)
def test_other_comments_tell_no_progress(text: str) -> None:
    assert read_comment(text) is None
