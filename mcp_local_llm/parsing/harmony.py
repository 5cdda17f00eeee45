"""gpt-oss's harmony format: messages with a channel and perhaps a recipient (R26).

`analysis` is reasoning, `final` and `commentary` without a recipient are text (commentary announces calls to the
user), a recipient makes a call. Calls of other formats inside a message are not looked for.
"""

import re
from typing import Literal

from mcp_local_llm.parsing.markup_scanner import KNOWN_MARKUP, MAX_FALLBACKS, Markup, scan_markup
from mcp_local_llm.parsing.offered_tools import OfferedTools
from mcp_local_llm.parsing.parsed import Parsed, PayloadError
from mcp_local_llm.parsing.tool_formats.format import Source, skip_space
from mcp_local_llm.parsing.tool_formats.json_objects import read_object
from mcp_local_llm.values.chat import ToolCall

HEADER = re.compile(
    r"\s*(?:<\|start\|>(?P<role>[^<]*))?"
    r"(?:(?:<\|channel\|>)?(?P<channel>\s*(?:analysis|commentary|final)\b[^<]*)|<\|channel\|>(?P<unknown>[^<]*))?"
    r"(?:<\|constrain\|>[^<]*)?<\|message\|>"
)
_CUT_HEADER = re.compile(
    r"\s*(?:<\|start\|>[^<]*)?(?:<\|channel\|>[^<]*)?(?:<\|constrain\|>[^<]*)?(?:<\|?[a-z]*\|?)?\Z"
)
_ANY_CHANNEL = re.compile(r"\s*<\|channel\|>\w+[^<\n]*(?:<\|constrain\|>[^<\n]*)?<\|message\|>")
_RECIPIENT = re.compile(r"\bto=(\S+)")
_TERMINATOR = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
_CLOSING = re.compile(r"\s*(<\|(?:end|return|call)\|>)")

_Kind = Literal["reasoning", "text"]


def is_harmony(text: str, tools: OfferedTools, markup: Markup) -> bool:
    """Say whether the first markup outside literal zones is a harmony header, or the end of a message before one.

    In the answer of a model that does not use harmony a header counts at the very start only.
    """
    if _ANY_CHANNEL.match(text):
        return True
    first = next(scan_markup(text, 0, tools, markup=KNOWN_MARKUP if markup.harmony else markup), None)
    if first is None or not (markup.harmony or not text[: first.start].strip()):
        return False
    return first.kind == "harmony" or text.startswith("<|end|><|start|>assistant", first.start)


def parse_harmony(text: str, *, think_prefilled: bool, tools: OfferedTools) -> Parsed:
    """Take a harmony answer apart. `think_prefilled`: it begins inside an analysis message."""
    reader = _Messages(text, tools)
    reader.run(think_prefilled=think_prefilled)
    reasoning = "\n".join(filter(None, map(str.strip, reader.bodies["reasoning"])))
    return Parsed(
        text="\n".join(filter(None, map(str.strip, reader.bodies["text"]))),
        reasoning=reasoning,
        tool_calls=tuple(reader.calls),
        warnings=tuple(reader.problems),
        thinking_closed=reader.closed,
    )


class _Messages:
    """One pass over the messages of one answer."""

    def __init__(self, text: str, tools: OfferedTools) -> None:
        self._text = text
        self._tools = tools
        self.bodies: dict[_Kind, list[str]] = {"reasoning": [], "text": []}
        self.calls: list[ToolCall] = []
        self.problems: list[str] = []
        self.closed = True
        self._fallbacks = 0

    def run(self, *, think_prefilled: bool) -> None:
        """Read message after message, until the turn ends or a message of another role begins."""
        position = self._lead(think_prefilled)
        while 0 <= position < len(self._text):
            header = HEADER.match(self._text, position)
            if header is None:
                if not _CUT_HEADER.match(self._text, position):
                    self.bodies["text"].append(self._text[position:])
                return
            if header["role"] and not header["role"].strip().startswith("assistant"):
                self.problems.append("A message of another role was dropped with what follows it.")  # R25
                return
            position = self._message(header)

    def _lead(self, think_prefilled: bool) -> int:
        """Store the text before the first header; return the position of that header."""
        first = next(scan_markup(self._text, 0, self._tools), None)
        start = 0 if _ANY_CHANNEL.match(self._text) else first.start if first else len(self._text)
        ended = self._text.startswith("<|end|>", start)
        self.bodies["reasoning" if think_prefilled or ended else "text"].append(self._text[:start])
        return start + len("<|end|>") if ended else start

    def _message(self, header: re.Match[str]) -> int:
        """Store one message; return where the next begins, or -1 after the last."""
        head = f"{header['role'] or ''} {header['channel'] or ''}"
        recipient = _RECIPIENT.search(head)
        if recipient is not None and recipient[1] not in ("assistant", "all", "user"):
            return self._call(header, recipient[1])
        kind: _Kind = "reasoning" if (header["channel"] or "").strip().startswith("analysis") else "text"
        end = self._body_end(header.end(), kind)
        self.bodies[kind].append(self._text[header.end() : end])
        self.closed = kind == "text" or end < len(self._text)
        return self._after(end)

    def _call(self, header: re.Match[str], recipient: str) -> int:
        """Store a call, or leave its message in the text as it was (R13, R17, R21)."""
        name = recipient if self._tools.knows(recipient) else recipient.removeprefix("functions.")
        source = Source(self._text, "<|call|>", self._tools)
        empty = _CLOSING.match(self._text, header.end())
        try:
            arguments, end = ({}, empty.start()) if empty else read_object(source, header.end())
        except PayloadError as error:
            end = len(self._text) if error.cut else self._body_end(error.position, "text")
            self.problems.append(f"A call of {name} could not be read; it was left in the text.")
            self.bodies["text"].append(self._text[header.start() : end])
            return -1 if error.cut else self._after(end)
        if self._tools.offered:
            self.calls.append(ToolCall(name=name, arguments=arguments))
        else:
            self.bodies["text"].append(self._text[header.start() : end])
        return self._after(self._body_end(end, "text"))

    def _body_end(self, start: int, kind: _Kind) -> int:
        """Return where a message ends: outside zones; a zone left open in the reasoning must not hide the answer."""
        zones = kind == "text" or self._fallbacks < MAX_FALLBACKS
        for mark in scan_markup(self._text, start, self._tools, in_block=kind == "reasoning") if zones else ():
            if mark.kind in ("end", "harmony") or self._text.startswith("<|start|>", mark.start):
                return mark.start
        if kind == "reasoning":
            self._fallbacks += 1
            for found in _TERMINATOR.finditer(self._text, start):
                if self._text[found.start() - 1] != "`":
                    return found.start()
        return len(self._text)

    def _after(self, end: int) -> int:
        """Return where the next message begins, or -1 where the turn is over (R3).

        `<|call|>` also ends a turn, but several calls in a row are one turn of the assistant.
        """
        closing = _CLOSING.match(self._text, end)
        if closing is not None:
            if closing[1] == "<|return|>" and (rest := self._text[closing.end() :].strip()):
                self.problems.append(f"The model went on behind <|return|>; {len(rest)} characters were dropped.")
            return -1 if closing[1] == "<|return|>" else skip_space(self._text, closing.end())
        return end if self._text.startswith(("<|start|>", "<|channel|>"), end) else -1
