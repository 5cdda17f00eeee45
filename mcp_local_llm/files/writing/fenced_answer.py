"""Takes the text of a file out of a model's answer: one fence around all of it goes. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from mcp_local_llm.files.writing.syntax import syntax_fault

MARKDOWN_SUFFIXES = frozenset((".md", ".markdown", ".mdx"))
"""Files that fences are a part of."""

PROSE_SUFFIXES = frozenset((".rst", ".txt", ".adoc", ".org"))
PROSE_NAMES = frozenset(("readme", "license", "copying", "notice", "authors", "changelog", "notes", "todo"))
"""Other files in which words around a fence may be meant."""

MARKDOWN = ("md", "markdown", "mdx")
"""Languages of a fence around a Markdown file."""

PROSE_LANGUAGES = frozenset(("", *MARKDOWN, "text", "txt", "plaintext", "plain", "rst"))
"""Languages of a fence around a whole file of prose."""

MAX_WORDS_AROUND = 6
"""Lines of words around a fence that may be left out, or as many as the fence holds: more of them are the answer."""

_KEPT_WORDS = "The answer has a fence within other text; all of it was kept."

_FENCE = re.compile(r" {0,3}(?P<marks>`{3,}|~{3,})[ \t]*(?P<language>[^\s`{:]*)[^`]*$")


_EMPTY_LINES = re.compile(r"(?:[ \t]*[\r\n])*(?: {4,}|[ \t]*\t)?")
_BEGINS = re.compile(r"\s*(```|~~~)")


@dataclass(frozen=True)
class FileText:
    """The text for a file, the language that the fence named, and warnings, one sentence each."""

    text: str
    language: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Block:
    """A fenced block; `end` is the line of its closing fence, None where there is none."""

    start: int
    end: int | None
    language: str


def unwrap(answer: str, path: PurePath) -> FileText:
    """Return the text of the file that an answer holds.

    One fence around everything is removed. Words around the one fence of a source file are left out with a warning; in
    a prose file everything is kept. Several fences are kept with a warning, because which one is meant is unknown.
    """
    lines = re.split(r"\r\n|\n|\r", _EMPTY_LINES.sub("", answer, 1).rstrip() if _BEGINS.match(answer) else answer)
    blocks = _blocks(lines)
    if not blocks or syntax_fault(path, answer) == "":
        return FileText(answer)  # A docstring may hold a fence.
    markdown = path.suffix.lower() in MARKDOWN_SUFFIXES
    prose = path.suffix.lower() in PROSE_SUFFIXES or path.name.lower() in PROSE_NAMES
    block = _around_all(lines, blocks, path)
    if block is not None:
        if (markdown or prose) and block.language not in PROSE_LANGUAGES:
            return FileText(answer, "", ("The answer is one fenced block, which was kept as it is.",))
        last = block.end if block.end is not None else len(lines)
        cut = () if block.end is not None else ("The answer's fence has no end: the text may be incomplete.",)
        return FileText("\n".join(_inside(lines, block, last)), block.language, cut)
    if markdown and not (len(blocks) == 1 and blocks[0].language in MARKDOWN):
        return FileText(answer)
    if len(blocks) > 1:
        return FileText(answer, "", (f"The answer has {len(blocks)} fenced blocks; all of it was kept.",))
    return FileText(answer, "", (_KEPT_WORDS,)) if prose else _without_words(answer, lines, blocks[0])


def _without_words(answer: str, lines: Sequence[str], block: _Block) -> FileText:
    """Leave out the words around the one fence of a file, unless they are too many to be mere words."""
    last = block.end if block.end is not None else len(lines)
    inside = _inside(lines, block, last)
    around = [line for line in (*lines[: block.start], *lines[last + 1 :]) if line.strip()]
    if len(around) > max(MAX_WORDS_AROUND, len(inside)) or block.end is None:
        return FileText(answer, "", (_KEPT_WORDS,))
    count = f"{len(around)} line{'' if len(around) == 1 else 's'} of words around the fenced block"
    warning = f"{count} were left out, beginning with {around[0].strip()[:60]!r}."
    return FileText("\n".join(inside), block.language, (warning,))


def _inside(lines: Sequence[str], block: _Block, last: int) -> list[str]:
    """Return the lines within a block, each without as many blanks as its fence is indented by."""
    indent = len(lines[block.start]) - len(lines[block.start].lstrip(" "))
    return [line[min(indent, len(line) - len(line.lstrip(" "))) :] for line in lines[block.start + 1 : last]]


def _blocks(lines: Sequence[str]) -> list[_Block]:
    """Find the outermost blocks; a fence that names a language opens one within another, a bare one closes."""
    blocks: list[_Block] = []
    open_marks: list[str] = []
    start, language = 0, ""
    for number, line in enumerate(lines):
        match = _FENCE.match(line)
        if match is None:
            continue
        marks, named = match["marks"], match["language"]
        if open_marks and not named and marks[0] == open_marks[-1][0] and len(marks) >= len(open_marks[-1]):
            open_marks.pop()
            if not open_marks:
                blocks.append(_Block(start, number, language))
        elif not open_marks:
            start, language = number, named.lower()
            open_marks.append(marks)
        elif named and marks[0] == open_marks[-1][0] and len(marks) >= len(open_marks[0]):
            open_marks.append(marks)
    if open_marks:
        blocks.append(_Block(start, None, language))
    return blocks


def _around_all(lines: Sequence[str], blocks: Sequence[_Block], path: PurePath) -> _Block | None:
    """Return the block that holds the whole answer, None where there is none."""
    first, final = blocks[0], len(lines) - 1
    if first.start != 0:
        return None
    closes = final > 0 and (match := _FENCE.match(lines[final])) is not None and not match["language"]
    outer = _Block(0, final if closes else None, first.language)
    if len(blocks) == 1 and first.end in (None, final):
        return outer
    # Fences of the same length within the outer one: a Markdown file has them, and a docstring may.
    inside = "\n".join(lines[1:final])
    within = first.language in MARKDOWN or syntax_fault(path, inside) == ""
    return outer if closes and within else None
