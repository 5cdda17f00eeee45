"""Splits an answer whose reasoning is announced in plain text: "Thinking Process:" (R12), Granite's sentences (R26)."""

import re

_ANNOUNCED = re.compile(r"\s*(?:\*\*|#+ )?Thinking Process:")

_ANSWER = re.compile(r"^(?:\*\*|#+ )?(?:Final )?Answer:(?:\*\*)?[ \t]*", re.MULTILINE)

_GRANITE = re.compile(r"\s*Here(?:'s| is) my thought process:")

_GRANITE_ANSWER = re.compile(r"Here(?:'s| is) my response:")

_PARAGRAPH = re.compile(r"\n[ \t\r]*\n(?=\S)")

_OUTLINE_ITEM = re.compile(r"(?:[*+-]|(\d{1,3})[.)])[ \t]")

_NUMBERED = re.compile(r"^(\d{1,3})[.)][ \t]", re.MULTILINE)

_ANNOUNCEMENTS = ("Thinking Process:", "Here is my thought process:", "Here's my thought process:")


def may_announce(visible: str) -> bool:
    """Say whether an answer that begins so announces its reasoning, or may turn out to."""
    words = visible.removeprefix("**") if visible.startswith("*") else visible.lstrip("#").removeprefix(" ")
    return visible == "*" or any(words.startswith(known) or known.startswith(words) for known in _ANNOUNCEMENTS)


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
