"""What a draft reports: enough to judge it by, never the whole text. Pure.

The head is this program's; the excerpt holds the model's words and belongs in a text block of its own.
"""

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from mcp_local_llm.values.visible_text import one_line

FIRST_LINES, LAST_LINES = 5, 2
"""Lines of a new file that are shown."""

MAX_DIFF_LINES = 40
"""Lines of a unified diff that are shown."""

MAX_LINE_CHARACTERS = 200
"""Characters of a shown line."""

MAX_COMPARED_LINES = 20_000
"""Lines of both versions up to which a diff is computed; above, it may take minutes."""

SHORT_SHARE = 0.5
"""An answer with less than this share of the old file's lines or characters is suspiciously short."""


_DIFF = re.compile(r"(diff --git .*\n(.*\n){0,4})?--- .*\n\+\+\+ .*\n@@ ")
_COMMENT = re.compile(r"[ \t]*(#|//|/\*|<!--|--|;|%|\{/\*|\.\.\.|…|\[|\()")
_ELISION = re.compile(
    r"(\.\.\.|…).*\b(rest|remain\w*|existing|previous|other|unchanged|same|omitted|continu\w+|as before)\b"
    r"|\b(rest|remain\w*|existing|previous|other|unchanged|same|omitted)\b.*(\.\.\.|…)"
    r"|\b(rest|remainder) of (the |this )?(\w+ )?(code|file|class|function|module|script|document|tests?)\b"
    r"|\b(existing|remaining|unchanged) (code|functions|methods|lines|content|tests|sections|imports)\b"
    r"|\b(remains?|stays?) (the same|unchanged|as (it was|before))\b",
    re.IGNORECASE,
)
"""What models write in comments in place of the lines that they leave out."""


@dataclass(frozen=True)
class DraftReport:
    """What was written.

    Attributes:
        path: the file.
        summary: what happened, in a few words without a full stop, such as `new, 1,204 bytes, 31 lines`.
        more: sentences about what is kept.
        excerpt: first and last lines of a new file, else the diff.
        warnings: one sentence each.
    """

    path: Path
    summary: str
    more: str = ""
    excerpt: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def head(self) -> str:
        """The path and what happened."""
        return f"{self.path}: {self.summary}.{self.more and ' '}{self.more}"


def size_words(text: str, size_bytes: int) -> str:
    """Write the size of a text, such as `1,204 bytes, 31 lines`."""
    count = len(_lines(text))
    return f"{size_bytes:,} {'byte' if size_bytes == 1 else 'bytes'}, {count:,} {'line' if count == 1 else 'lines'}"


def excerpt(text: str) -> str:
    """Return the first five and the last two lines."""
    lines = [_shortened(line) for line in _lines(text)]
    between = len(lines) - FIRST_LINES - LAST_LINES
    if between <= 0:
        return "\n".join(lines)
    more = f"[{between:,} more {'line' if between == 1 else 'lines'}]"
    return "\n".join([*lines[:FIRST_LINES], more, *lines[-LAST_LINES:]])


def diffstat(old: str, new: str) -> tuple[int, int]:
    """Return how many lines were added and removed."""
    before, after, _ = _differing(old, new)
    if len(before) + len(after) > MAX_COMPARED_LINES:
        gone, come = Counter(before), Counter(after)
        return (come - gone).total(), (gone - come).total()
    added = removed = 0
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, before, after).get_opcodes():
        if tag != "equal":
            removed, added = removed + i2 - i1, added + j2 - j1
    return added, removed


def bounded_diff(old: str, new: str, name: str) -> str:
    """Return at most 40 lines of the unified diff."""
    before, after, skipped = _differing(old, new)
    if len(before) + len(after) > MAX_COMPARED_LINES:
        return f"[The diff is too long to compute: {len(before):,} lines became {len(after):,}.]"
    # Only what differs is compared; three lines before it are given back as context.
    lines, shift = _lines(old), max(skipped - 3, 0)
    tail = len(lines) - skipped - len(before)
    end, end_after = len(lines) - max(tail - 3, 0), len(_lines(new)) - max(tail - 3, 0)
    diff = [*difflib.unified_diff(lines[shift:end], _lines(new)[shift:end_after], name, name, lineterm="")]
    diff = [_shifted(line, shift) if line.startswith("@@ ") else _shortened(line) for line in diff]
    if len(diff) <= MAX_DIFF_LINES:
        return "\n".join(diff)
    more = len(diff) - MAX_DIFF_LINES + 1
    return "\n".join([*diff[: MAX_DIFF_LINES - 1], f"[{more:,} more lines of diff]"])


def shrunk(old: str, new: str) -> str:
    """Return a warning where a new version is suspiciously shorter than the old one, else an empty text."""
    before, after = len(_lines(old)), len(_lines(new))
    if before < 4 or (after >= before * SHORT_SHARE and len(new) >= len(old) * SHORT_SHARE):
        return ""
    return (
        f"The new version is much shorter: {after:,} of {before:,} lines, {len(new):,} of {len(old):,} characters. "
        "Check that nothing was lost."
    )


def left_out(text: str, old: str, path: PurePath) -> str:
    """Return what a text has in place of the file's content, such as `# ... rest unchanged`; else an empty text."""
    if path.suffix.lower() not in (".diff", ".patch") and _DIFF.match(text):
        return "it is a diff and not the file"
    held = set(_lines(old))
    for line in _lines(text):
        if line not in held and len(line) <= MAX_LINE_CHARACTERS and _COMMENT.match(line) and _ELISION.search(line):
            return f"it leaves parts out where it says {one_line(line).strip()[:80]!r}"
    return ""


def _differing(old: str, new: str) -> tuple[Sequence[str], Sequence[str], int]:
    """Return the lines of both texts without those that begin and end them alike, and the number at the beginning."""
    before, after = _lines(old), _lines(new)
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    return before[start : len(before) - end], after[start : len(after) - end], start


def _shifted(header: str, shift: int) -> str:
    """Add to the line numbers of a hunk's header."""
    parts = header.split(" ")
    for place in (1, 2):
        sign, (number, comma, count) = parts[place][0], parts[place][1:].partition(",")
        parts[place] = f"{sign}{int(number) + shift}{comma}{count}"
    return " ".join(parts)


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _shortened(line: str) -> str:
    line = one_line(line)
    return line if len(line) <= MAX_LINE_CHARACTERS else f"{line[: MAX_LINE_CHARACTERS - 1]}…"
